package example.mihonbank.corporate;

import jakarta.servlet.annotation.WebServlet;
import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;

/** 振込限度額: for administrators, as web.xml has it. */
@WebServlet("/limits")
public final class Limits extends HttpServlet {
    private static final long serialVersionUID = 1;

    @Override
    protected void doGet(HttpServletRequest request, HttpServletResponse response) throws IOException {
        Page.write(request, response, "振込限度額", "<p>1日あたり 100,000,000円");
    }
}
