package example.mihonbank.corporate;

import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;

/** What all pages have around them. */
final class Page {
    private Page() {
    }

    static void write(HttpServletRequest request, HttpServletResponse response, String title, String body)
            throws IOException {
        Customer customer = Customer.of(request);
        response.setContentType("text/html;charset=UTF-8");
        response.getWriter().write("""
            <!doctype html>
            <html lang="ja">
            <meta charset="utf-8">
            <title>%1$s - みほん銀行</title>
            <link rel="stylesheet" href="style.css">
            <header><b>みほん銀行 法人インターネットバンキング</b> <span>契約 %2$s 利用者 %3$s 様</span></header>
            <nav><a href="accounts">残高照会</a> <a href="transfer">振込</a>%4$s</nav>
            <h1>%1$s</h1>
            %5$s
            </html>
            """.formatted(
                title,
                text(customer.contract()),
                text(customer.user()),
                request.isUserInRole("CORPORATE_ADMINISTRATOR") ? " <a href=\"limits\">振込限度額</a>" : "",
                body));
    }

    /** What may stand in HTML for this text. */
    static String text(String text) {
        return text.replace("&", "&amp;").replace("<", "&lt;").replace("\"", "&quot;");
    }
}
