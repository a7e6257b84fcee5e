// Command hello is a minimal server with net/http. bench measures its size.
package main

import (
	"io"
	"log"
	"net/http"
)

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "Hello!\n") })
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", nil))
}
