package petrel;

import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.RecordComponent;
import java.lang.reflect.Type;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Between JSON and the user's own types: records, and classes with getters and setters. */
final class Beans {
    private Beans() {}

    static boolean isBean(Class<?> type) {
        return !type.isPrimitive() && !type.isEnum() && !type.isArray() && !type.isInterface()
            && (type.getClassLoader() != null && type.getClassLoader() != ClassLoader.getPlatformClassLoader());
    }

    static Map<String, Object> toMap(Object bean) {
        Map<String, Object> map = new LinkedHashMap<>();
        try {
            if (bean.getClass().isRecord()) {
                for (RecordComponent part : bean.getClass().getRecordComponents()) {
                    part.getAccessor().setAccessible(true);
                    map.put(part.getName(), part.getAccessor().invoke(bean));
                }
                return map;
            }
            for (Method method : bean.getClass().getMethods()) {
                String name = property(method, method.getReturnType() == boolean.class ? "is" : "get");
                if (name == null || method.getParameterCount() > 0 || method.getDeclaringClass() == Object.class) continue;
                method.setAccessible(true);
                map.put(name, method.invoke(bean));
            }
            for (var field : bean.getClass().getFields())
                if (!Modifier.isStatic(field.getModifiers())) map.putIfAbsent(field.getName(), field.get(bean));
            return map;
        } catch (ReflectiveOperationException error) {
            throw new IllegalArgumentException(bean.getClass().getName() + " cannot be written as JSON: " + error, error);
        }
    }

    private static String property(Method method, String prefix) {
        String name = method.getName();
        if (!name.startsWith(prefix) || name.length() == prefix.length() || Modifier.isStatic(method.getModifiers())) return null;
        return Character.toLowerCase(name.charAt(prefix.length())) + name.substring(prefix.length() + 1);
    }

    /** JSON as a value of that type. Throws IllegalArgumentException that says what does not fit. */
    static Object bind(Object json, Type type) {
        Class<?> raw = rawOf(type);
        if (json == null) {
            if (raw.isPrimitive()) throw new IllegalArgumentException("null is no " + raw);
            return null;
        }
        if (json instanceof Number number) {
            if (raw == int.class || raw == Integer.class) return number.intValue();
            if (raw == long.class || raw == Long.class) return number.longValue();
            if (raw == double.class || raw == Double.class) return number.doubleValue();
            if (raw == float.class || raw == Float.class) return number.floatValue();
            if (raw == short.class || raw == Short.class) return number.shortValue();
            if (raw == java.math.BigDecimal.class) return new java.math.BigDecimal(number.toString());
            if (raw == String.class) return number.toString();
        }
        if (json instanceof Boolean && (raw == boolean.class || raw == Boolean.class)) return json;
        if (json instanceof String text && raw.isEnum()) {
            for (Object constant : raw.getEnumConstants()) if (((Enum<?>) constant).name().equals(text)) return constant;
        }
        if (json instanceof List<?> list && raw.isAssignableFrom(ArrayList.class)) {
            List<Object> out = new ArrayList<>();
            for (Object each : list) out.add(bind(each, argument(type, 0)));
            return out;
        }
        if (json instanceof Map<?, ?> map) {
            if (raw.isAssignableFrom(LinkedHashMap.class)) {
                Map<Object, Object> out = new LinkedHashMap<>();
                map.forEach((name, value) -> out.put(name, bind(value, argument(type, 1))));
                return out;
            }
            if (isBean(raw)) return make(map, raw);
        }
        if (raw.isInstance(json)) return json;
        throw new IllegalArgumentException(json.getClass().getSimpleName() + " is no " + raw.getName());
    }

    private static Object make(Map<?, ?> map, Class<?> type) {
        try {
            if (type.isRecord()) {
                RecordComponent[] parts = type.getRecordComponents();
                Class<?>[] types = new Class<?>[parts.length];
                Object[] values = new Object[parts.length];
                for (int i = 0; i < parts.length; i++) {
                    types[i] = parts[i].getType();
                    values[i] = bind(map.get(parts[i].getName()), parts[i].getGenericType());
                }
                var constructor = type.getDeclaredConstructor(types);
                constructor.setAccessible(true);
                return constructor.newInstance(values);
            }
            var constructor = type.getDeclaredConstructor();
            constructor.setAccessible(true);
            Object bean = constructor.newInstance();
            for (Method method : type.getMethods()) {
                String name = property(method, "set");
                if (name == null || method.getParameterCount() != 1 || !map.containsKey(name)) continue;
                method.setAccessible(true);
                method.invoke(bean, bind(map.get(name), method.getGenericParameterTypes()[0]));
            }
            for (var field : type.getFields())
                if (!Modifier.isStatic(field.getModifiers()) && map.containsKey(field.getName()))
                    field.set(bean, bind(map.get(field.getName()), field.getGenericType()));
            return bean;
        } catch (ReflectiveOperationException error) {
            throw new IllegalArgumentException("no " + type.getName() + " can be made of JSON: " + error, error);
        }
    }

    static Class<?> rawOf(Type type) {
        if (type instanceof Class<?> raw) return raw;
        if (type instanceof ParameterizedType generic) return (Class<?>) generic.getRawType();
        return Object.class;
    }

    private static Type argument(Type type, int index) {
        return type instanceof ParameterizedType generic && generic.getActualTypeArguments().length > index
            ? generic.getActualTypeArguments()[index] : Object.class;
    }
}
