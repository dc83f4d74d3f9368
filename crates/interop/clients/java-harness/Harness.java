import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.Callable;

/**
 * Runs the methods marked {@link Check} of an object, each on a path of its own, in the order of their names,
 * and prints {@code ok NAME} or {@code FAIL NAME reason}.
 */
final class Harness {
    static final int PATIENCE_MS = 20_000;

    @Retention(RetentionPolicy.RUNTIME)
    @Target(ElementType.METHOD)
    @interface Check {}

    interface Action {
        void run() throws Exception;
    }

    private Harness() {}

    /** Runs all checks and ends the process. */
    static void runAll(Object checks) {
        int failed = 0;
        List<Method> methods = new ArrayList<>(Arrays.asList(checks.getClass().getMethods()));
        methods.removeIf(method -> method.getAnnotation(Check.class) == null);
        methods.sort(Comparator.comparing(Method::getName));
        for (Method method : methods) {
            try {
                method.invoke(checks, "/" + checks.getClass().getSimpleName() + "/" + method.getName());
                System.out.println("ok " + method.getName());
            } catch (InvocationTargetException | IllegalAccessException wrapped) {
                failed++;
                Throwable error = wrapped.getCause() == null ? wrapped : wrapped.getCause();
                error.printStackTrace();
                System.out.println("FAIL " + method.getName() + " " + String.valueOf(error).replace('\n', ' '));
            }
        }
        System.exit(failed == 0 ? 0 : 1);
    }

    static void restartServer() throws Exception {
        System.out.println("@restart");
        StringBuilder line = new StringBuilder();
        for (int letter = System.in.read(); letter != '\n'; letter = System.in.read()) {
            that(letter >= 0, "stdin ended");
            line.append((char) letter);
        }
        equal(line.toString(), "done");
    }

    static void that(boolean condition, String what) {
        if (!condition) {
            throw new AssertionError(what);
        }
    }

    static void equal(Object got, Object expected) {
        that(Objects.equals(got, expected), "got " + got + ", expected " + expected);
    }

    static void equalBytes(byte[] got, byte[] expected) {
        that(Arrays.equals(got, expected), "got " + Arrays.toString(got) + ", expected " + Arrays.toString(expected));
    }

    static List<String> sorted(List<String> names) {
        List<String> copy = new ArrayList<>(names);
        copy.sort(null);
        return copy;
    }

    static <E extends Exception> E refused(Class<E> kind, Action action) throws Exception {
        try {
            action.run();
        } catch (Exception error) {
            if (kind.isInstance(error)) {
                return kind.cast(error);
            }
            throw error;
        }
        throw new AssertionError("succeeded, expected " + kind.getSimpleName());
    }

    static void eventually(Callable<Boolean> condition, String what) throws Exception {
        long deadline = System.nanoTime() + PATIENCE_MS * 1_000_000L;
        while (!condition.call()) {
            that(System.nanoTime() < deadline, "not within " + PATIENCE_MS + " ms: " + what);
            Thread.sleep(20);
        }
    }
}
