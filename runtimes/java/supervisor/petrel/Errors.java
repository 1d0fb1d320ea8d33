package petrel;

import java.lang.reflect.InvocationTargetException;
import java.util.Map;

/** Exceptions in the words that users get to see. */
final class Errors {
    private Errors() {}

    /** A call of the platform that cannot be carried out, with a code of PROTOCOL.md. */
    static final class CallError extends Exception {
        private static final long serialVersionUID = 1;
        final transient Map<String, Object> fields;

        CallError(String code, String message) {
            this(Json.object("code", code, "message", message));
        }

        CallError(Map<String, Object> fields) {
            super((String) fields.get("message"), null, false, false);
            this.fields = fields;
        }
    }

    /** What user code has thrown, without what called it. */
    static Throwable causeOf(Throwable error) {
        while ((error instanceof InvocationTargetException || error instanceof ExceptionInInitializerError) && error.getCause() != null) error = error.getCause();
        return error;
    }

    /** The stack down to the user's own code. */
    static String stackOf(Throwable error) {
        StringBuilder out = new StringBuilder(error.toString());
        for (StackTraceElement frame : error.getStackTrace()) {
            if (frame.getClassName().startsWith("petrel.")) break;
            if (!frame.getClassName().startsWith("jdk.internal.reflect.")) out.append("\n\tat ").append(frame);
        }
        if (error.getCause() != null && error.getCause() != error) out.append("\nCaused by: ").append(stackOf(error.getCause()));
        return out.toString();
    }

    static void log(Throwable error) {
        System.err.println(stackOf(error));
    }

    /** A load error with the place in the user's code. */
    static CallError loadError(Throwable thrown) {
        Throwable error = causeOf(thrown);
        String message = error.toString();
        if (error instanceof NoClassDefFoundError && error.getCause() == null) message = "class not found: " + error.getMessage().replace('/', '.') + " (is its jar among the dependencies?)";
        Map<String, Object> fields = Json.object("code", "LoadError", "message", message);
        for (StackTraceElement frame : error.getStackTrace()) {
            if (frame.getFileName() == null || !Loader.isUsers(frame.getClassName())) continue;
            int dot = frame.getClassName().lastIndexOf('.');
            fields.put("file", dot < 0 ? frame.getFileName() : frame.getClassName().substring(0, dot + 1).replace('.', '/') + frame.getFileName());
            if (frame.getLineNumber() > 0) fields.put("line", frame.getLineNumber());
            break;
        }
        fields.put("detail", stackOf(error));
        return new CallError(fields);
    }
}
