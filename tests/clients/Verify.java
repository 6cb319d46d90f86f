// Drives the verifier of docs/backends.md: `ASSERTION METHOD URL` a line in, `good SUBJECT` or `refused WHY` a line out, each by a
// thread of its own.
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.URI;
import java.security.GeneralSecurityException;
import java.time.Duration;

public final class Verify {
    public static void main(String[] settings) throws Exception {
        var verifier = new Verifier(URI.create(settings[0]), settings[1], settings[2], Duration.ZERO);
        var lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] parts = line.split("\t", -1);
            new Thread(() -> answer(verifier, parts)).start();
        }
    }

    private static void answer(Verifier verifier, String[] parts) {
        try {
            System.out.println("good " + verifier.verify(parts[0], parts[1], parts[2]).get("sub").getAsString());
        } catch (GeneralSecurityException refused) {
            System.out.println("refused " + refused.getMessage());
        }
    }
}
