/** The contract suite for the go runtime. */
import { contract } from '../contract.ts';
import { olderThan, withoutProgram } from '../instance.ts';
import { oneFile } from '../language.ts';

const go = oneFile('fn.go');
const program = (main: string) =>
  go(`package main

import (
	"fmt"
	"net/http"
	"os"
	"time"
)

var _ = fmt.Sprint
var _ = time.Second
var _ = http.StatusOK

func main() {
${main}
}
`);
const listening = `	http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "program %s %s", r.URL.RequestURI(), os.Getenv("GREETING"))
	}))`;

contract({
  runtime: 'go',
  missing: withoutProgram('go', 'perl') ?? olderThan('1.22', 'go', 'version'),
  transport: 'http1-unix',
  trace: /fn\.go/,
  cwd: /petrel-built-\w+$/,
  args: /\/petrel-build\/handler$/,
  everything: go(`package function

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

var (
	produced, aborted, busy, most atomic.Int64
	opened                        sync.Map
)

func gate(name string) {
	for {
		if _, ok := opened.Load(name); ok {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func number(r *http.Request, name string) int {
	n, _ := strconv.Atoi(r.URL.Query().Get(name))
	return n
}

func answer(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(value)
}

var routes = map[string]http.HandlerFunc{
	"/echo": func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		kind := r.Header.Get("Content-Type")
		if kind == "" {
			kind = "none"
		}
		w.Header().Set("Content-Type", kind)
		w.Write(body)
	},
	"/echo-stream": func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		w.Header().Set("Content-Type", "application/octet-stream")
		io.Copy(w, r.Body)
	},
	"/describe": func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		query := [][2]string{}
		for name, values := range r.URL.Query() {
			for _, value := range values {
				query = append(query, [2]string{name, value})
			}
		}
		headers := map[string]string{"host": r.Host}
		for name, values := range r.Header {
			text := []rune{}
			for _, b := range []byte(values[0]) {
				text = append(text, rune(b))
			}
			headers[strings.ToLower(name)] = string(text)
		}
		answer(w, map[string]any{"method": r.Method, "path": r.URL.Path, "query": query, "headers": headers, "body": string(body)})
	},
	"/json": func(w http.ResponseWriter, r *http.Request) {
		var got any
		json.NewDecoder(r.Body).Decode(&got)
		answer(w, map[string]any{"got": got})
	},
	"/headers": func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("x-latin1", "caf\\xe9")
		w.Header().Add("Set-Cookie", "a=1; Path=/")
		w.Header().Add("Set-Cookie", "b=2")
		io.WriteString(w, "ok")
	},
	"/status": func(w http.ResponseWriter, r *http.Request) {
		code := number(r, "code")
		w.WriteHeader(code)
		if code != 204 && code != 304 {
			fmt.Fprintf(w, "body of %d", code)
		}
	},
	"/sse": func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for n := 0; n < 3; n++ {
			if n > 0 {
				gate(strconv.Itoa(n))
			}
			fmt.Fprintf(w, "data: %d\\n\\n", n)
			w.(http.Flusher).Flush()
		}
	},
	"/open": func(w http.ResponseWriter, r *http.Request) {
		opened.Store(r.URL.RawQuery, true)
		io.WriteString(w, "opened")
	},
	"/big": func(w http.ResponseWriter, r *http.Request) {
		piece := []byte(strings.Repeat("x", 65536))
		for left := number(r, "bytes"); left > 0; left -= len(piece) {
			produced.Add(int64(len(piece)))
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	},
	"/produced": func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, produced.Load()) },
	"/slow-read": func(w http.ResponseWriter, r *http.Request) {
		r.Body.Read(make([]byte, 65536))
		gate("read")
		rest, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "rest %d", rest)
	},
	"/throw":  func(w http.ResponseWriter, r *http.Request) { panic("TypeError: thrown in the handler") },
	"/reject": func(w http.ResponseWriter, r *http.Request) { panic(fmt.Errorf("rejected in the handler")) },
	"/hang": func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
		aborted.Add(1)
		panic("late")
	},
	"/aborted":   func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, aborted.Load()) },
	"/hang-deaf": func(w http.ResponseWriter, r *http.Request) { select {} },
	"/sleep": func(w http.ResponseWriter, r *http.Request) {
		now := busy.Add(1)
		for high := most.Load(); now > high && !most.CompareAndSwap(high, now); high = most.Load() {
		}
		time.Sleep(time.Duration(number(r, "ms")) * time.Millisecond)
		busy.Add(-1)
		io.WriteString(w, "slept")
	},
	"/most": func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, most.Load()) },
	"/exit": func(w http.ResponseWriter, r *http.Request) { os.Exit(3) },
	"/environment": func(w http.ResponseWriter, r *http.Request) {
		env := map[string]string{}
		for _, pair := range os.Environ() {
			name, value, _ := strings.Cut(pair, "=")
			env[name] = value
		}
		cwd, _ := os.Getwd()
		answer(w, map[string]any{"env": env, "cwd": cwd, "args": os.Args})
	},
	"/stdin": func(w http.ResponseWriter, r *http.Request) {
		all, _ := io.ReadAll(os.Stdin)
		fmt.Fprintf(w, "stdin %d", len(all))
	},
	"/log": func(w http.ResponseWriter, r *http.Request) {
		fmt.Println("a line of output")
		fmt.Fprintln(os.Stderr, "a line of errors")
		io.WriteString(w, "logged")
	},
	"/break-stream": func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "begun")
		w.(http.Flusher).Flush()
		panic("broke off")
	},
	"/bad-header": func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("x-evil", "a\\r\\nx-forged: 1")
		io.WriteString(w, "x")
	},
}

func Handle(w http.ResponseWriter, r *http.Request) { routes[r.URL.Path](w, r) }
`),
  crash: go(`package function

import (
	"net/http"
	"time"
)

func Handle(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/wait" {
		go func() {
			panic("thrown by a timer")
		}()
	}
	time.Sleep(time.Hour)
}
`),
  failures: {
    'a syntax error': {
      source: go('package function\n\nvar b = = 2\n'),
      says: /fn\.go:3:9: syntax error: unexpected =/,
      building: true,
    },
    'a syntax error in a file that is imported': {
      source: {
        files: {
          'go.mod': 'module example.com/fn\n\ngo 1.22\n',
          'fn.go':
            'package function\n\nimport (\n\t"net/http"\n\t"example.com/fn/dep"\n)\n\nfunc Handle(w http.ResponseWriter, r *http.Request) { dep.X() }\n',
          'dep/dep.go': 'package dep\n\nfunc X( {\n',
        },
        entry: 'fn.go',
      },
      says: /syntax error/,
      file: 'dep/dep\\.go',
      line: 3,
      building: true,
    },
    'a module that is not there': {
      source: go(
        'package function\n\nimport (\n\t"net/http"\n\t"not-installed/x"\n)\n\nfunc Handle(w http.ResponseWriter, r *http.Request) { x.X() }\n',
      ),
      says: /package not-installed\/x is not in std/,
      file: 'fn\\.go',
      line: 5,
      building: true,
    },
    'a module that is not there, two files deep': {
      source: {
        files: {
          'go.mod': 'module example.com/fn\n\ngo 1.22\n',
          'fn.go':
            'package function\n\nimport (\n\t"net/http"\n\t"example.com/fn/dep"\n)\n\nfunc Handle(w http.ResponseWriter, r *http.Request) { dep.X() }\n',
          'dep/dep.go': 'package dep\n\nimport "example.com/fn/gone"\n\nfunc X() { gone.Y() }\n',
        },
        entry: 'fn.go',
      },
      says: /package example\.com\/fn\/gone is not in std|no required module provides package|example\.com\/fn\/gone/,
      file: 'dep/dep\\.go',
      line: 3,
      building: true,
    },
    'a throw while loading': {
      source: go(
        'package function\n\nimport "net/http"\n\nfunc init() {\n\tpanic("no database")\n}\n\nfunc Handle(w http.ResponseWriter, r *http.Request) {}\n',
      ),
      says: /panic: no database/,
      file: 'fn.go',
      line: 6,
    },
    'loading that fails later': {
      source: go(
        'package function\n\nimport (\n\t"net/http"\n\t"time"\n)\n\nfunc init() {\n\ttime.Sleep(5 * time.Millisecond)\n\tvar none []int\n\t_ = none[3]\n}\n\nfunc Handle(w http.ResponseWriter, r *http.Request) {}\n',
      ),
      says: /panic: runtime error: index out of range \[3\]/,
      file: 'fn.go',
      line: 11,
    },
    'loading that never ends': {
      source: go(
        'package function\n\nimport (\n\t"net/http"\n\t"time"\n)\n\nfunc init() { time.Sleep(time.Hour) }\n\nfunc Handle(w http.ResponseWriter, r *http.Request) {}\n',
      ),
      says: /did not finish loading within 1 s/,
    },
    'no handler among the exports': {
      source: go('package function\n\nvar Answer = 42\n\ntype Thing struct{}\n'),
      says: /HandlerNotFound: .*it exports Answer \(var\), Thing \(type\)/,
      building: true,
    },
    'a named handler that is not exported': {
      source: {
        ...go(
          'package function\n\nimport "net/http"\n\nfunc Handle(w http.ResponseWriter, r *http.Request) {}\n',
        ),
        handler: 'Handel',
      },
      says: /has no Handel; it exports Handle \(func\)/,
      building: true,
    },
    'an entry that is not in the package': {
      source: { files: { 'fn.go': 'package function\n' }, entry: 'other.go' },
      says: /has no other\.go; it has: fn\.go/,
      building: true,
    },
    'an entry outside the package': {
      source: { files: { 'fn.go': 'package function\n' }, entry: '../../etc/passwd' },
      says: /lies outside of the source/,
      building: true,
    },
    'code that exits while it is loaded': {
      source: go(
        'package function\n\nimport (\n\t"log"\n\t"net/http"\n)\n\nfunc init() { log.Fatal("gave up") }\n\nfunc Handle(w http.ResponseWriter, r *http.Request) {}\n',
      ),
      says: /ended with exit code 1 before it was ready[\s\S]*gave up/,
    },
  },
  programs: {
    declared: program(listening),
    whenLoaded: program(listening),
    later: program(`	time.Sleep(50 * time.Millisecond)\n${listening}`),
    failing: program('\tfmt.Fprintln(os.Stderr, "cannot start: no licence")\n\tos.Exit(7)'),
    silent: program('\t_ = os.Args\n\ttime.Sleep(time.Hour)'),
  },
  lacks: {
    'a handler that hangs is not hidden by an answer to PING':
      'handlers run beside each other: one that hangs holds nobody up, and requests share no connection with PING',
  },
});
