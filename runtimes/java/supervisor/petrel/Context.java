package petrel;

import com.sun.net.httpserver.Authenticator;
import com.sun.net.httpserver.Filter;
import com.sun.net.httpserver.HttpContext;
import com.sun.net.httpserver.HttpHandler;
import com.sun.net.httpserver.HttpServer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The only context there is: the function's, at the root. */
final class Context extends HttpContext {
    static final Context ROOT = new Context();
    private final Map<String, Object> attributes = new HashMap<>();
    private final List<Filter> filters = new ArrayList<>();

    @Override
    public HttpHandler getHandler() {
        return null;
    }

    @Override
    public void setHandler(HttpHandler handler) {
        throw new UnsupportedOperationException("the handler is the function's");
    }

    @Override
    public String getPath() {
        return "/";
    }

    @Override
    public HttpServer getServer() {
        return null;
    }

    @Override
    public Map<String, Object> getAttributes() {
        return attributes;
    }

    @Override
    public List<Filter> getFilters() {
        return filters;
    }

    @Override
    public Authenticator setAuthenticator(Authenticator authenticator) {
        throw new UnsupportedOperationException("access to a function is the gateway's");
    }

    @Override
    public Authenticator getAuthenticator() {
        return null;
    }
}
