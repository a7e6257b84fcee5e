package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// An initProcess runs the daemon as its child, and reaps what becomes a child of its own: the processes that
// hooks left behind. That is the work of process 1 in a container. The daemon itself does not reap, since it
// waits for its hooks with os/exec, which needs their exit statuses; and a program that embeds the daemon's
// packages has children that are not ours.
//
//	state      what it does                                           ends when
//	serving    it passes signals to the daemon and reaps orphans      the daemon ends
//	stopping   it sends SIGTERM to what is left, and reaps            nothing is left, or after stopTimeout
//	killing    it sends SIGKILL to what is left, and reaps            nothing is left
type initProcess struct {
	daemon  int
	signals chan os.Signal
	stderr  io.Writer
}

// stopTimeout is how long what hooks left behind has to end after SIGTERM.
const stopTimeout = 2 * time.Second

// runInit runs the program again as a child, with these arguments, and returns its exit status.
func runInit(args []string, stderr io.Writer) int {
	fail := func(err error) int {
		fmt.Fprintln(stderr, "rudderpostd: --init:", err)
		return 1
	}
	for _, name := range []string{"NOTIFY_SOCKET", "LISTEN_PID"} {
		if os.Getenv(name) != "" {
			return fail(fmt.Errorf("%s is set, so systemd runs this service and ends what it leaves; start it without --init", name))
		}
	}
	self, err := os.Executable()
	if err != nil {
		return fail(err)
	}
	runtime.LockOSThread() // the daemon gets a signal when the thread that started it ends
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fail(err)
	}
	p := &initProcess{signals: make(chan os.Signal, 64), stderr: stderr}
	signal.Notify(p.signals)
	defer signal.Stop(p.signals)
	daemon, err := os.StartProcess(self, append([]string{os.Args[0]}, args...), &os.ProcAttr{
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
		Sys: &syscall.SysProcAttr{
			Setpgid:   true, // a terminal sends SIGINT to a group, and the daemon would get it twice
			Pdeathsig: syscall.SIGTERM,
		},
	})
	if err != nil {
		return fail(err)
	}
	p.daemon = daemon.Pid // from here on wait4 reaps it; os.Process.Wait is not called
	return p.serve()
}

// serve runs until the daemon has ended and nothing is left of it.
func (p *initProcess) serve() int {
	for {
		s := <-p.signals
		if status, ended := p.reap(); ended { // at each signal: where many come, one that says so can be lost
			p.stop()
			return status
		}
		switch s {
		case syscall.SIGCHLD, syscall.SIGURG, syscall.SIGPIPE: // Go sends SIGURG; SIGPIPE is of this process's own output
		default:
			if n, ok := s.(syscall.Signal); ok {
				_ = syscall.Kill(p.daemon, n)
			}
		}
	}
}

// reap waits for all children that have ended. It returns the daemon's status when that is one of them.
func (p *initProcess) reap() (status int, ended bool) {
	for {
		var w syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &w, syscall.WNOHANG, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if pid <= 0 || err != nil {
			return status, ended
		}
		if pid != p.daemon {
			continue
		}
		ended = true
		if status = w.ExitStatus(); w.Signaled() {
			status = 128 + int(w.Signal())
		}
	}
}

// stop ends what the daemon has left.
func (p *initProcess) stop() {
	deadline := time.Now().Add(stopTimeout)
	told := map[int]bool{}
	for {
		left := children(os.Getpid())
		for _, pid := range left {
			switch {
			case time.Now().After(deadline):
				_ = syscall.Kill(pid, syscall.SIGKILL)
			case !told[pid]:
				told[pid] = true
				_ = syscall.Kill(pid, syscall.SIGTERM)
				_ = syscall.Kill(pid, syscall.SIGCONT)
			}
		}
		if _, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); errors.Is(err, syscall.ECHILD) {
			return
		}
		select {
		case <-p.signals: // SIGCHLD, most likely
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// children returns the processes whose parent is pid.
func children(pid int) (all []int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		_, rest, ok := bytes.Cut(text[max(bytes.LastIndexByte(text, ')'), 0):], []byte(") "))
		fields := bytes.Fields(rest)
		if !ok || len(fields) < 2 || string(fields[1]) != strconv.Itoa(pid) {
			continue
		}
		if child, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			all = append(all, child)
		}
	}
	slices.Sort(all)
	return all
}
