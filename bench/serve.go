package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	_ "net/http/pprof" // a profile of the server, for -cpuprofile
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
)

// exitMissing is the exit status of a process whose program is not installed.
const exitMissing = 3

// serve is the main function of a server process. It reads its site from stdin, writes its endpoint to stdout, and serves until
// stdin ends.
func serve(name string) int {
	runtime.LockOSThread() // Pdeathsig kills a foreign program when the thread that started it ends
	c, err := contestantNamed(name)
	if err != nil {
		return complain(err)
	}
	var s site
	if err := json.NewDecoder(os.Stdin).Decode(&s); err != nil {
		return complain(err)
	}
	e, err := c.start(&s)
	if errors.Is(err, exec.ErrNotFound) {
		_ = complain(err)
		return exitMissing
	}
	if err != nil {
		return complain(err)
	}
	if len(e.PIDs) == 0 {
		e.PIDs = []int{os.Getpid()}
		e.Control = s.path("runtime.sock")
		l, err := net.Listen("unix", e.Control)
		if err != nil {
			return complain(err)
		}
		http.HandleFunc("/memory", tellMemory)
		go func() { _ = http.Serve(l, nil) }()
	}
	if err := json.NewEncoder(os.Stdout).Encode(e); err != nil {
		return complain(err)
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

func complain(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// A memory has figures of the runtime of a server.
type memory struct {
	Mallocs uint64
}

// tellMemory writes the figures. If the request asks for gc, it frees the garbage first.
func tellMemory(w http.ResponseWriter, r *http.Request) {
	if r.FormValue("gc") != "" {
		debug.FreeOSMemory()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	_ = json.NewEncoder(w).Encode(memory{m.Mallocs})
}
