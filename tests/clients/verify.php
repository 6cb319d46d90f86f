<?php
// Drives the verifier of docs/backends.md: `ASSERTION METHOD URL` a line in, `good SUBJECT` or `refused WHY` a line out.
declare(strict_types=1);

require "$argv[1]/verifier.php";

$verifier = new Verifier($argv[2], $argv[3], $argv[4], "$argv[1]/keys.json", 0);
while (($line = fgets(STDIN)) !== false) {
    try {
        $claims = $verifier->verify(...explode("\t", rtrim($line, "\n")));
        echo "good $claims[sub]\n";
    } catch (Refused $refused) {
        echo 'refused ', $refused->getMessage(), "\n";
    }
}
