package example.mihonbank.corporate;

import jakarta.servlet.annotation.WebServlet;
import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import jakarta.servlet.http.HttpSession;
import java.io.IOException;
import java.util.UUID;

/**
 * 振込: a form, with a token in the session against forged posts. Written later than the rest, when nginx stood in front and said in
 * header fields who was there: it reads those still.
 */
@WebServlet("/transfer")
public final class Transfer extends HttpServlet {
    private static final long serialVersionUID = 1;

    @Override
    protected void doGet(HttpServletRequest request, HttpServletResponse response) throws IOException {
        HttpSession session = request.getSession();
        String token = UUID.randomUUID().toString();
        session.setAttribute("token", token);
        Page.write(request, response, "振込", """
            <form method="post" action="%s">
            <input type="hidden" name="token" value="%s">
            <p><label>受取人 <input name="to" required></label></p>
            <p><label>金額 <input name="amount" inputmode="numeric" pattern="[1-9][0-9]{0,8}" required> 円</label></p>
            <p><button>振込を依頼する</button></p>
            </form>""".formatted(response.encodeURL("transfer"), token));
    }

    @Override
    protected void doPost(HttpServletRequest request, HttpServletResponse response) throws IOException {
        HttpSession session = request.getSession(false);
        Object expected = session == null ? null : session.getAttribute("token");
        String to = request.getParameter("to");
        String amount = request.getParameter("amount");
        boolean isWhole = to != null && amount != null && amount.matches("[1-9][0-9]{0,8}");
        if (expected == null || !expected.equals(request.getParameter("token")) || !isWhole) {
            response.sendError(HttpServletResponse.SC_BAD_REQUEST);
            return;
        }
        session.removeAttribute("token");
        String contract = request.getHeader("X-Contract-Id");
        String number = Ledger.transfer(contract, to, Long.parseLong(amount));
        Page.write(request, response, "振込受付", "<p>%sへの振込 %,d円を受け付けました。受付番号 %s、依頼者 %s".formatted(
            Page.text(to), Long.parseLong(amount), number, Page.text(request.getHeader("X-User-Id"))));
    }
}
