package example.mihonbank.corporate;

import jakarta.servlet.annotation.WebServlet;
import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;

/** 残高照会: the accounts of the contract. */
@WebServlet({"/accounts", ""})
public final class Accounts extends HttpServlet {
    private static final long serialVersionUID = 1;

    @Override
    protected void doGet(HttpServletRequest request, HttpServletResponse response) throws IOException {
        var rows = new StringBuilder();
        for (Ledger.Account account : Ledger.accounts(Customer.of(request).contract())) {
            rows.append("<tr><td>%s<td>%s<td>%s<td>%,d円\n".formatted(
                account.branch(), account.kind(), account.number(), account.balance()));
        }
        Page.write(request, response, "残高照会", "<table>\n<tr><th>店名<th>科目<th>口座番号<th>残高\n" + rows + "</table>");
    }
}
