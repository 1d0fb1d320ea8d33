package petrel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"reflect"
	"strings"
)

// function is a handler of whatever kind as one that net/http calls.
type function struct {
	http.Handler
	shape string
	// of is the value that Start and Stop are looked for on.
	of interface{}
}

// instanced is Knative func's shape with a value per process.
type instanced interface {
	Handle(http.ResponseWriter, *http.Request)
}

// looked is what a handler may be, for messages.
const looked = "func(http.ResponseWriter, *http.Request), http.Handler, func(context.Context, http.ResponseWriter, *http.Request), " +
	"a value with the method Handle(http.ResponseWriter, *http.Request), a function that returns one of these, " +
	"or a function of an event: func([context.Context][, event]) [result][, error]"

// handlerOf recognises what the function's source has under the name. Its order is told in runtimes/go/README.md.
func handlerOf(name string, value interface{}) (*function, error) {
	switch handler := value.(type) {
	case nil:
		return nil, fmt.Errorf("%s is nil", name)
	case http.Handler:
		return &function{handler, "http", handler}, nil
	case func(http.ResponseWriter, *http.Request):
		return &function{http.HandlerFunc(handler), "http", nil}, nil
	case func(context.Context, http.ResponseWriter, *http.Request):
		return &function{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler(r.Context(), w, r) }), "http", nil}, nil
	case instanced:
		return &function{http.HandlerFunc(handler.Handle), "http", handler}, nil
	}
	kind := reflect.TypeOf(value)
	if kind.Kind() == reflect.Pointer && kind.Elem().Kind() == reflect.Interface {
		return handlerOf(name, reflect.ValueOf(value).Elem().Interface())
	}
	if kind.Kind() == reflect.Func && kind.NumIn() == 0 && kind.NumOut() == 1 && kind.Out(0) != errorType {
		made := reflect.ValueOf(value).Call(nil)[0].Interface()
		if found, err := handlerOf(name+"()", made); err == nil && found.shape == "http" {
			return found, nil
		}
	}
	if handler := eventHandler(kind, reflect.ValueOf(value)); handler != nil {
		return &function{handler, "event", nil}, nil
	}
	return nil, fmt.Errorf("%s is %s; a handler is %s", name, kind, looked)
}

var (
	errorType   = reflect.TypeOf((*error)(nil)).Elem()
	contextType = reflect.TypeOf((*context.Context)(nil)).Elem()
)

// eventHandler makes a handler of func([context][, event]) [result][, error]; nil when the function is something else.
func eventHandler(kind reflect.Type, call reflect.Value) http.Handler {
	if kind.Kind() != reflect.Func || kind.IsVariadic() || kind.NumIn() > 2 || kind.NumOut() > 2 {
		return nil
	}
	withContext := kind.NumIn() > 0 && kind.In(0) == contextType
	events := kind.NumIn()
	if withContext {
		events--
	}
	fails := kind.NumOut() > 0 && kind.Out(kind.NumOut()-1) == errorType
	results := kind.NumOut()
	if fails {
		results--
	}
	if events > 1 || results > 1 {
		return nil
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in []reflect.Value
		if withContext {
			in = append(in, reflect.ValueOf(r.Context()))
		}
		if events == 1 {
			event := reflect.New(kind.In(kind.NumIn() - 1))
			if err := readEvent(r, event.Interface()); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			in = append(in, event.Elem())
		}
		out := call.Call(in)
		if fails {
			if err, failed := out[len(out)-1].Interface().(error); failed {
				panic(err)
			}
		}
		if results == 0 {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		writeResult(w, out[0].Interface())
	})
}

// readEvent fills what event points to with the body: bytes and text as they are, everything else from JSON.
func readEvent(r *http.Request, event interface{}) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	switch event := event.(type) {
	case *[]byte:
		*event = body
	case *string:
		*event = string(body)
	default:
		if len(body) == 0 {
			return nil
		}
		if err := json.Unmarshal(body, event); err != nil {
			return fmt.Errorf("the body is not the JSON that the function takes: %w", err)
		}
	}
	return nil
}

func writeResult(w http.ResponseWriter, result interface{}) {
	switch result := result.(type) {
	case []byte:
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Write(result)
	case string:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		io.WriteString(w, result)
	case io.Reader:
		io.Copy(w, result)
	default:
		body, err := json.Marshal(result)
		if err != nil {
			panic(err)
		}
		w.Header().Set("Content-Type", "application/json")
		w.Write(body)
	}
}

// start runs the handler's own Start, where it has one, with the environment.
func (f *function) start(ctx context.Context) error {
	starter, has := f.of.(interface {
		Start(context.Context, map[string]string) error
	})
	if !has {
		return nil
	}
	env := map[string]string{}
	for _, pair := range os.Environ() {
		if name, value, ok := strings.Cut(pair, "="); ok {
			env[name] = value
		}
	}
	return starter.Start(ctx, env)
}

// stop runs the handler's own Stop, where it has one.
func (f *function) stop(ctx context.Context) {
	if stopper, has := f.of.(interface{ Stop(context.Context) error }); has {
		if err := stopper.Stop(ctx); err != nil && !errors.Is(err, context.Canceled) {
			fmt.Fprintln(os.Stderr, "petrel: Stop:", err)
		}
	}
}
