// Package petrel serves a function's handler over HTTP: on the socket that the launcher of the platform has opened for it
// (runtimes/launch/README.md), or, started by hand, on $PORT.
package petrel

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Descriptors that the launcher leaves: the listening socket, and the channel to it.
const (
	httpFd    = 3
	channelFd = 4
)

// settings are what the launcher says of the function.
var settings struct {
	development bool
}

// Main serves the handler and never returns. The name is what its source calls it.
func Main(name string, value interface{}) {
	if !launched() {
		byHand(name, value)
	}
	syscall.CloseOnExec(httpFd)
	syscall.CloseOnExec(channelFd)
	channel := os.NewFile(channelFd, "launcher")
	lines := bufio.NewScanner(channel)
	lines.Buffer(nil, 1<<20)
	if !lines.Scan() {
		os.Exit(1)
	}
	settings.development = strings.Contains(lines.Text(), "development=1")

	found, err := handlerOf(name, value)
	if err != nil {
		refuse(channel, "HandlerNotFound", err)
	}
	if err := found.start(context.Background()); err != nil {
		refuse(channel, "LoadError", err)
	}
	file := os.NewFile(httpFd, "h.sock")
	listener, err := net.FileListener(file)
	if err != nil {
		refuse(channel, "LoadError", err)
	}
	file.Close()
	server := newServer(found)
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)
	end := sync.OnceFunc(func() {
		server.drain(listener, nil)
		server.end(found)
	})
	go func() {
		<-terminated
		end()
	}()
	go func() {
		for lines.Scan() {
			switch words := strings.Fields(lines.Text()); words[0] {
			case "health":
				fmt.Fprintf(channel, "health %d\n", server.inFlight())
			case "end":
				go end()
			case "drain":
				grace, _ := strconv.Atoi(words[1])
				go func() {
					fmt.Fprintf(channel, "left %d\n", server.drain(listener, time.After(time.Duration(grace)*time.Millisecond)))
				}()
			}
		}
		os.Exit(0) // the launcher is gone
	}()
	fmt.Fprintf(channel, "ready %s\n", found.shape)
	server.http.Serve(listener)
	select {} // drained: the end comes by a signal or with the launcher
}

// launched tells whether the launcher has started this process: then its two sockets are there.
func launched() bool {
	listens, err := syscall.GetsockoptInt(httpFd, syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN)
	if err != nil || listens == 0 {
		return false
	}
	kind, err := syscall.GetsockoptInt(channelFd, syscall.SOL_SOCKET, syscall.SO_TYPE)
	return err == nil && kind == syscall.SOCK_STREAM
}

// byHand serves on $PORT, for a binary that is started outside of the platform.
func byHand(name string, value interface{}) {
	found, err := handlerOf(name, value)
	if err == nil {
		err = found.start(context.Background())
	}
	if err == nil {
		port := os.Getenv("PORT")
		if port == "" {
			port = "8080"
		}
		settings.development = true
		fmt.Fprintf(os.Stderr, "listening on port %s\n", port)
		err = http.ListenAndServe(":"+port, newServer(found).http.Handler)
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// refuse tells the launcher why nothing will be served, and ends.
func refuse(channel *os.File, code string, err error) {
	fmt.Fprintf(channel, "error {\"code\":%q,\"message\":%s}\n", code, quote(err.Error()))
	os.Exit(1)
}
