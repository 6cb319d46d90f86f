//! The gate as its users meet it: real sockets, real certificates, a real upstream.
