package example.mihonbank.corporate;

import jakarta.servlet.http.HttpServletRequest;

/** Who is there, as the container says: it knows people by contract and user, {@code 10000000000001/tanaka}. */
record Customer(String contract, String user) {
    static Customer of(HttpServletRequest request) {
        String[] parts = request.getUserPrincipal().getName().split("/", 2);
        return new Customer(parts[0], parts[1]);
    }
}
