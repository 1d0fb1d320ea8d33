package main

import (
	"fmt"
	"io"
	"os"
)

// The body of the request is on standard input, what is printed is the answer.
func main() {
	name, _ := io.ReadAll(os.Stdin)
	if len(name) == 0 {
		name = []byte("world")
	}
	fmt.Printf("Hello, %s, from %s\n", name, os.Getenv("Http_Path"))
}
