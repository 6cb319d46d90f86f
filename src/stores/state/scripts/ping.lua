-- KEYS: none that exists; it says which server of a cluster is asked.
return { OP, 'done' }
