package main

import (
	"encoding/json"
	"net/http"
)

const netHTTPNote = "net/http and encoding/json; handlers run beside each other, and there is no authorization"

var (
	netHTTP = contestant{name: "net/http", floor: "floor-unix-loop", note: netHTTPNote,
		start: serveNetHTTP("unix"), wire: protocol{request: postCommand}}
	netHTTPTCP = contestant{name: "net/http-tcp", floor: "floor-tcp-loop", note: netHTTPNote,
		start: serveNetHTTP("tcp"), wire: protocol{request: postCommand}}
)

func serveNetHTTP(network string) func(*site) (endpoint, error) {
	return func(s *site) (endpoint, error) {
		l, err := listen(s, network, nil)
		if err != nil {
			return endpoint{}, err
		}
		f := echoOf(s)
		go func() {
			_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				var in struct {
					Command   string `json:"command"`
					Arguments echo   `json:"arguments"`
				}
				if err := json.NewDecoder(r.Body).Decode(&in); err != nil || (in.Command != "bench-echo" && in.Command != "bench-slow") {
					http.Error(w, "what?", http.StatusBadRequest)
					return
				}
				w.Header().Set("Content-Type", "application/json")
				_ = json.NewEncoder(w).Encode(f(in.Arguments))
			}))
		}()
		return endpointOf(l.Addr()), nil
	}
}
