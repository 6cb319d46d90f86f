package example.mihonbank.gate;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import jakarta.servlet.ServletException;
import jakarta.servlet.http.HttpServletResponse;
import jakarta.servlet.http.HttpSession;
import java.io.IOException;
import java.net.URI;
import java.security.GeneralSecurityException;
import java.time.Duration;
import java.util.Collections;
import java.util.List;
import java.util.Set;
import org.apache.catalina.LifecycleException;
import org.apache.catalina.connector.Request;
import org.apache.catalina.connector.Response;
import org.apache.catalina.realm.GenericPrincipal;
import org.apache.catalina.valves.ValveBase;
import org.apache.tomcat.util.http.MimeHeaders;

/**
 * Lets requests pass that the gate has signed, and makes who is signed in there the container's principal. It runs before the
 * container's own authenticator, which has nothing left to ask for.
 *
 * <p>The principal's name is {@code CONTRACT/USER}, its role {@code administrator} or {@code user}; whoever the gate's directory
 * doesn't know has none.
 */
public final class SekishoValve extends ValveBase {
    private static final String FIELD = "X-Sekisho-Assertion";
    private static final String OWNER = SekishoValve.class.getName() + ".owner";

    private String keys;
    private String issuer;
    private String audience;
    private Set<String> open = Set.of();
    private Verifier verifier;

    public SekishoValve() {
        super(true);
    }

    /** Where the gate's keys are: {@code http://OPS/.well-known/jwks.json}, or a {@code file:} with what is there. */
    public void setKeys(String keys) {
        this.keys = keys;
    }

    /** The gate's {@code assertion.issuer}. */
    public void setIssuer(String issuer) {
        this.issuer = issuer;
    }

    /** The name that the gate has for this application under {@code upstreams}. */
    public void setAudience(String audience) {
        this.audience = audience;
    }

    /** Paths for which nobody needs to be signed in, separated by spaces, each exactly as it is asked for: the health check's. */
    public void setOpen(String open) {
        this.open = Set.of(open.trim().split("\\s+"));
    }

    @Override
    protected void startInternal() throws LifecycleException {
        if (keys == null || issuer == null || audience == null) {
            throw new LifecycleException("SekishoValve needs keys, issuer and audience");
        }
        verifier = new Verifier(URI.create(keys), issuer, audience, Duration.ofSeconds(10));
        super.startInternal();
    }

    @Override
    public void invoke(Request request, Response response) throws IOException, ServletException {
        MimeHeaders fields = request.getCoyoteRequest().getMimeHeaders();
        List<String> assertions = Collections.list(request.getHeaders(FIELD));
        // Nobody behind this needs them: not the application, and not the access log.
        List.of(FIELD, "X-Contract-Id", "X-User-Id").forEach(fields::removeHeader);
        if (open.contains(request.getRequestURI())) {
            getNext().invoke(request, response);
            return;
        }
        JsonObject claims;
        try {
            claims = verified(assertions, request);
        } catch (GeneralSecurityException refused) {
            String what = request.getMethod() + " " + request.getRequestURI();
            containerLog.warn("Refused " + what + " of " + request.getRemoteAddr() + ": " + refused.getMessage());
            response.sendError(HttpServletResponse.SC_FORBIDDEN);
            return;
        }
        String subject = claims.get("sub").getAsString();
        JsonElement role = claims.get("role");
        List<String> roles = role == null ? List.of() : List.of(role.getAsString());
        request.setUserPrincipal(new GenericPrincipal(subject, roles));
        request.setAuthType(claims.get("auth_method").getAsString());
        // For applications that read who is there as a proxy in front of them used to say it.
        fields.setValue("X-Contract-Id").setString(claims.get("contract").getAsString());
        fields.setValue("X-User-Id").setString(claims.get("user").getAsString());

        // What the application keeps for one person must not be there for the next one at the same browser.
        HttpSession session = request.getSession(false);
        if (session != null && !isOf(session, subject)) {
            session.invalidate();
        }
        try {
            getNext().invoke(request, response);
        } finally {
            HttpSession kept = request.getSession(false);
            if (kept != null && kept.getAttribute(OWNER) == null) {
                kept.setAttribute(OWNER, subject);
            }
        }
    }

    private JsonObject verified(List<String> assertions, Request request) throws GeneralSecurityException {
        if (assertions.size() != 1) {
            throw new GeneralSecurityException(assertions.size() + " assertions");
        }
        String url = "https://" + request.getHeader("Host") + request.getRequestURI();
        return verifier.verify(assertions.get(0), request.getMethod(), url);
    }

    /** Whether this session is of this person, or nobody's yet. */
    private static boolean isOf(HttpSession session, String subject) {
        Object owner = session.getAttribute(OWNER);
        return owner == null || owner.equals(subject);
    }
}
