package petrel

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"time"
)

// drainLook is how often a server that drains looks whether it is done.
const drainLook = 5 * time.Millisecond

// server counts what is in flight, and turns panics into answers.
type server struct {
	http *http.Server
	next http.Handler

	mu sync.Mutex
	// working holds the requests whose handlers have not returned.
	working map[*http.Request]struct{}
}

func newServer(handler http.Handler) *server {
	s := &server{next: handler, working: map[*http.Request]struct{}{}}
	s.http = &http.Server{Handler: s}
	return s
}

// inFlight counts the requests that somebody still waits for: a handler that does not notice that its client is gone is none.
func (s *server) inFlight() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	count := 0
	for r := range s.working {
		if r.Context().Err() == nil {
			count++
		}
	}
	return count
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.working[r] = struct{}{}
	s.mu.Unlock()
	answer := &answer{ResponseWriter: w}
	defer func() {
		broken := recover()
		s.mu.Lock()
		delete(s.working, r)
		s.mu.Unlock()
		if broken == nil {
			return
		}
		if broken == http.ErrAbortHandler {
			panic(broken)
		}
		stack := debug.Stack()
		fmt.Fprintf(os.Stderr, "panic: %v\n%s", broken, stack)
		if answer.begun {
			panic(http.ErrAbortHandler) // the head is gone: only the end of the connection can still say it
		}
		answer.fail(r, broken, stack)
	}()
	s.next.ServeHTTP(answer, r)
}

// drain takes no more requests and waits until nothing is in flight or the time is over; it returns what is left.
func (s *server) drain(listener net.Listener, over <-chan time.Time) int {
	listener.Close()
	s.http.SetKeepAlivesEnabled(false)
	look := time.NewTicker(drainLook)
	defer look.Stop()
	for s.inFlight() > 0 {
		select {
		case <-look.C:
		case <-over:
			return s.inFlight()
		}
	}
	return 0
}

// end lets what has been answered leave, and exits. The launcher sees to it that this does not last.
func (s *server) end(f *function) {
	s.http.Shutdown(context.Background())
	f.stop(context.Background())
	os.Exit(0)
}

// answer is a ResponseWriter that knows whether its head has been given away.
type answer struct {
	http.ResponseWriter
	begun bool
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) WriteHeader(status int) {
	if !a.begun {
		a.check()
		a.begun = status >= 200 || status == http.StatusSwitchingProtocols
	}
	a.ResponseWriter.WriteHeader(status)
}

// check refuses a header that would forge another: net/http would send it with the line breaks taken out.
func (a *answer) check() {
	for name, values := range a.Header() {
		for _, value := range values {
			if strings.ContainsAny(value, "\r\n\x00") {
				a.Header().Del(name)
				panic(fmt.Sprintf("the value of the header %q has a line break in it", name))
			}
		}
	}
}

func (a *answer) Write(bytes []byte) (int, error) {
	a.begin()
	return a.ResponseWriter.Write(bytes)
}

func (a *answer) begin() {
	if !a.begun {
		a.check()
		a.begun = true
	}
}

// WriteString and ReadFrom keep net/http's own short ways.
func (a *answer) WriteString(text string) (int, error) {
	a.begin()
	return io.WriteString(a.ResponseWriter, text)
}

func (a *answer) ReadFrom(source io.Reader) (int64, error) {
	a.begin()
	return a.ResponseWriter.(io.ReaderFrom).ReadFrom(source)
}

func (a *answer) Flush() {
	a.begin()
	a.ResponseWriter.(http.Flusher).Flush()
}

func (a *answer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	a.begun = true
	return a.ResponseWriter.(http.Hijacker).Hijack()
}

// fail answers 500 in the form that all runtimes have.
func (a *answer) fail(r *http.Request, broken interface{}, stack []byte) {
	header := a.Header()
	for name := range header {
		delete(header, name)
	}
	header.Set("Content-Type", "application/json")
	body := "{\"component\":\"function\",\"reason\":\"function_error\""
	if id := r.Header.Get("X-Request-Id"); id != "" {
		body += ",\"requestId\":" + quote(id)
	}
	if settings.development {
		body += ",\"message\":" + quote(fmt.Sprint(broken)) + ",\"stack\":" + quote(string(stack))
	}
	a.WriteHeader(http.StatusInternalServerError)
	io.WriteString(a, body+"}")
}

func quote(text string) string {
	bytes, _ := json.Marshal(text)
	return string(bytes)
}
