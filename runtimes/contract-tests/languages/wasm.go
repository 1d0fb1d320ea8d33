// Everything that the contract suite asks of a handler, as a WASI program that answers as CGI does: each request is an instance of its
// own, what they share is in files.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

func head(lines ...string) { fmt.Print(strings.Join(lines, "\n"), "\n\n") }
func text(body string)     { fmt.Print("content-type: text/plain\n\n", body) }
func answer(value any) {
	body, _ := json.Marshal(value)
	text(string(body))
}
func fail(code int, message string) {
	fmt.Fprintln(os.Stderr, message)
	os.Exit(code)
}
func count(name string, n int) {
	file, err := os.OpenFile("/state."+name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		fail(9, err.Error())
	}
	file.Write(bytes.Repeat([]byte{'x'}, n))
	file.Close()
}
func counted(name string) int64 {
	info, err := os.Stat("/state." + name)
	if err != nil {
		return 0
	}
	return info.Size()
}
func gate(name string) {
	for counted("open."+name) == 0 {
		time.Sleep(2 * time.Millisecond)
	}
}

func main() {
	query, _ := url.ParseQuery(os.Getenv("QUERY_STRING"))
	switch os.Getenv("PATH_INFO") {
	case "/echo":
		kind := os.Getenv("CONTENT_TYPE")
		if kind == "" {
			kind = "none"
		}
		head("content-type: " + kind)
		io.Copy(os.Stdout, os.Stdin)
	case "/echo-stream":
		head("content-type: application/octet-stream")
		io.Copy(os.Stdout, os.Stdin)
	case "/describe":
		headers := map[string]string{}
		for _, pair := range os.Environ() {
			name, value, _ := strings.Cut(pair, "=")
			if key, found := strings.CutPrefix(name, "HTTP_"); found {
				headers[strings.ToLower(strings.ReplaceAll(key, "_", "-"))] = value
			}
		}
		pairs := [][]string{}
		for name, values := range query {
			for _, value := range values {
				pairs = append(pairs, []string{name, value})
			}
		}
		body, _ := io.ReadAll(os.Stdin)
		answer(map[string]any{"method": os.Getenv("REQUEST_METHOD"), "path": os.Getenv("PATH_INFO"), "query": pairs, "headers": headers, "body": string(body)})
	case "/headers":
		head("x-latin1: caf\xe9", "content-type: text/plain", "set-cookie: a=1; Path=/", "set-cookie: b=2")
		fmt.Print("ok")
	case "/status":
		code := query.Get("code")
		head("status: " + code)
		if code != "204" && code != "304" {
			fmt.Print("body of " + code)
		}
	case "/sse":
		head("content-type: text/event-stream")
		for n := 0; n < 3; n++ {
			if n > 0 {
				gate(strconv.Itoa(n))
			}
			fmt.Printf("data: %d\n\n", n)
		}
	case "/open":
		count("open."+os.Getenv("QUERY_STRING"), 1)
		text("opened")
	case "/big":
		head("content-type: application/octet-stream")
		left, _ := strconv.Atoi(query.Get("bytes"))
		piece := bytes.Repeat([]byte{'x'}, 65536)
		for ; left > 0; left -= len(piece) {
			count("produced", 1)
			os.Stdout.Write(piece)
		}
	case "/produced":
		text(strconv.FormatInt(counted("produced")*65536, 10))
	case "/slow-read":
		os.Stdin.Read(make([]byte, 65536))
		gate("read")
		rest, _ := io.Copy(io.Discard, os.Stdin)
		text(fmt.Sprintf("rest %d", rest))
	case "/throw":
		fail(1, "TypeError: thrown in the handler")
	case "/reject":
		time.Sleep(time.Millisecond)
		fail(2, "rejected in the handler")
	case "/hang", "/hang-deaf":
		for {
			time.Sleep(time.Second)
		}
	case "/sleep":
		ms, _ := strconv.Atoi(query.Get("ms"))
		time.Sleep(time.Duration(ms) * time.Millisecond)
		text("slept")
	case "/environment":
		env := map[string]string{}
		for _, pair := range os.Environ() {
			name, value, _ := strings.Cut(pair, "=")
			env[name] = value
		}
		answer(map[string]any{"env": env, "args": os.Args})
	case "/stdin":
		read, _ := io.Copy(io.Discard, os.Stdin)
		text(fmt.Sprintf("stdin %d", read))
	case "/log":
		fmt.Fprintln(os.Stderr, "a line of output")
		fmt.Fprintln(os.Stderr, "a line of errors")
		text("logged")
	case "/break-stream":
		text("begun")
		time.Sleep(500 * time.Millisecond)
		fail(1, "broke off")
	case "/bad-header":
		head("x-evil: a\rx-forged: 1")
	default:
		head("status: 404")
	}
}
