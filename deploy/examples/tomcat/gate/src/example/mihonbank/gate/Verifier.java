package example.mihonbank.gate;

import com.google.gson.Gson;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import java.math.BigInteger;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.AlgorithmParameters;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.PublicKey;
import java.security.Signature;
import java.security.spec.ECGenParameterSpec;
import java.security.spec.ECParameterSpec;
import java.security.spec.ECPoint;
import java.security.spec.ECPublicKeySpec;
import java.time.Duration;
import java.util.Base64;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.locks.ReentrantLock;

public final class Verifier {
    private static final long SKEW = 5;
    private static final Duration KEEP = Duration.ofMinutes(5);
    private static final HttpClient HTTP =
        HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(3)).build();

    private final URI keysUrl;
    private final String issuer;
    private final String audience;
    private final Duration refetchAfter;
    private final ReentrantLock fetching = new ReentrantLock();
    private volatile Map<String, PublicKey> keys = Map.of();
    private volatile long triedAt;

    public Verifier(URI keysUrl, String issuer, String audience, Duration refetchAfter) {
        this.keysUrl = keysUrl;
        this.issuer = issuer;
        this.audience = audience;
        this.refetchAfter = refetchAfter;
        this.triedAt = System.nanoTime() - KEEP.toNanos();
    }

    public JsonObject verify(String assertion, String method, String url) throws GeneralSecurityException {
        try {
            String[] parts = assertion.split("\\.", -1);
            require(parts.length == 3, "not a compact JWS");
            JsonObject header = json(parts[0]);
            require(text(header, "alg").equals("ES256"), "another algorithm");
            require(text(header, "typ").equals("sekisho-assertion+jwt"), "another kind of token");
            PublicKey key = key(text(header, "kid"));
            require(key != null, "signed by an unknown key");
            Signature signature = Signature.getInstance("SHA256withECDSAinP1363Format");
            signature.initVerify(key);
            signature.update((parts[0] + "." + parts[1]).getBytes(StandardCharsets.US_ASCII));
            require(signature.verify(decode(parts[2])), "not signed by the gateway");

            JsonObject claims = json(parts[1]);
            long now = System.currentTimeMillis() / 1000;
            require(text(claims, "iss").equals(issuer), "from somebody else");
            require(text(claims, "aud").equals(audience), "for somebody else");
            require(claims.get("exp").getAsLong() > now - SKEW, "expired");
            require(claims.get("iat").getAsLong() < now + SKEW, "from the future");
            require(text(claims, "htm").equals(method), "for another method");
            require(text(claims, "htu").equals(url), "for another path");
            return claims;
        } catch (RuntimeException malformed) {
            throw new GeneralSecurityException("malformed", malformed);
        }
    }

    private PublicKey key(String id) {
        PublicKey known = keys.get(id);
        // One fetches. Whoever knows the key goes on with it meanwhile.
        if (known == null) {
            fetching.lock();
        } else if (System.nanoTime() - triedAt < KEEP.toNanos() || !fetching.tryLock()) {
            return known;
        }
        try {
            long age = System.nanoTime() - triedAt;
            boolean isUnknown = !keys.containsKey(id) && age >= refetchAfter.toNanos();
            if (age >= KEEP.toNanos() || isUnknown) {
                triedAt = System.nanoTime();
                keys = fetch();
            }
        } catch (Exception nobodyAnswers) {
            // What was known goes on.
        } finally {
            fetching.unlock();
        }
        return keys.get(id);
    }

    private Map<String, PublicKey> fetch() throws Exception {
        String published;
        if ("file".equals(keysUrl.getScheme())) {
            published = Files.readString(Path.of(keysUrl));
        } else {
            HttpRequest request = HttpRequest.newBuilder(keysUrl).timeout(Duration.ofSeconds(3)).build();
            var response = HTTP.send(request, BodyHandlers.ofString());
            require(response.statusCode() == 200, "no keys");
            published = response.body();
        }
        AlgorithmParameters p256 = AlgorithmParameters.getInstance("EC");
        p256.init(new ECGenParameterSpec("secp256r1"));
        ECParameterSpec curve = p256.getParameterSpec(ECParameterSpec.class);
        Map<String, PublicKey> found = new HashMap<>();
        JsonObject set = new Gson().fromJson(published, JsonObject.class);
        for (JsonElement element : set.getAsJsonArray("keys")) {
            JsonObject key = element.getAsJsonObject();
            BigInteger x = new BigInteger(1, decode(text(key, "x")));
            BigInteger y = new BigInteger(1, decode(text(key, "y")));
            var point = new ECPublicKeySpec(new ECPoint(x, y), curve);
            found.put(text(key, "kid"), KeyFactory.getInstance("EC").generatePublic(point));
        }
        return found;
    }

    private static JsonObject json(String part) {
        return new Gson().fromJson(new String(decode(part), StandardCharsets.UTF_8), JsonObject.class);
    }

    private static String text(JsonObject object, String name) {
        return object.get(name).getAsString();
    }

    private static byte[] decode(String part) {
        return Base64.getUrlDecoder().decode(part);
    }

    private static void require(boolean holds, String why) throws GeneralSecurityException {
        if (!holds) {
            throw new GeneralSecurityException(why);
        }
    }
}
