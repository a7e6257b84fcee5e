package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// An initProcess runs the daemon as its child, and reaps the processes that hooks left behind, which become its
// children. Process 1 of a container has this duty. The daemon itself does not reap: it waits for its hooks with
// os/exec, which needs their exit statuses. A program that embeds the daemon's packages can have other children.
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

// stopTimeout is the time that the remaining processes have to end after SIGTERM.
const stopTimeout = 2 * time.Second

// initPipe is the environment variable with the descriptor of a pipe. Its other end closes when the init process ends.
// A parent-death signal (PR_SET_PDEATHSIG) is no replacement: the kernel may send it more than once, and the second
// SIGTERM ends the daemon without the drain.
const initPipe = "RUDDERPOST_INIT_PIPE"

// cancelWithInit calls cancel when the init process that started this daemon has ended. Without an init process it does
// nothing.
func cancelWithInit(cancel func()) {
	fd, err := strconv.Atoi(os.Getenv(initPipe))
	_ = os.Unsetenv(initPipe)
	if err != nil {
		return
	}
	syscall.CloseOnExec(fd) // hooks do not inherit it
	go func() {
		_, _ = io.Copy(io.Discard, os.NewFile(uintptr(fd), initPipe))
		cancel()
	}()
}

// runInit starts this program again as a child with args, and returns its exit status.
func runInit(args []string, stderr io.Writer) int {
	fail := func(err error) int {
		fmt.Fprintln(stderr, "rudderpostd: --init:", err)
		return 1
	}
	for _, name := range []string{"NOTIFY_SOCKET", "LISTEN_PID"} {
		if os.Getenv(name) != "" {
			return fail(fmt.Errorf("%s is set, so systemd runs this service and ends its processes; start it without --init", name))
		}
	}
	self, err := os.Executable()
	if err != nil {
		return fail(err)
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fail(err)
	}
	p := &initProcess{signals: make(chan os.Signal, 64), stderr: stderr}
	signal.Notify(p.signals)
	defer signal.Stop(p.signals)
	alive, end, err := os.Pipe()
	if err != nil {
		return fail(err)
	}
	daemon, err := os.StartProcess(self, append([]string{os.Args[0]}, args...), &os.ProcAttr{
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr, alive},
		Env:   append(os.Environ(), initPipe+"=3"),
		Sys:   &syscall.SysProcAttr{Setpgid: true}, // a terminal sends SIGINT to its process group, and the daemon would get it twice
	})
	if err != nil {
		return fail(err)
	}
	_ = alive.Close()
	defer end.Close()     // it stays open as long as this process runs
	p.daemon = daemon.Pid // from here on wait4 reaps it; os.Process.Wait is not called
	return p.serve()
}

// serve returns the daemon's exit status when the daemon and all processes that it left have ended.
func (p *initProcess) serve() int {
	for {
		s := <-p.signals
		if status, ended := p.reap(); ended { // checked at each signal, because a SIGCHLD can be lost
			p.stop()
			return status
		}
		switch s {
		case syscall.SIGCHLD, syscall.SIGURG, syscall.SIGPIPE: // the Go runtime sends SIGURG; SIGPIPE is about this process's own output
		default:
			if n, ok := s.(syscall.Signal); ok {
				_ = syscall.Kill(p.daemon, n)
			}
		}
	}
}

// reap reaps all children that have ended. ended reports whether the daemon is one of them; status is its exit status.
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

// stop ends the processes that the daemon left: with SIGTERM first, and with SIGKILL after stopTimeout.
func (p *initProcess) stop() {
	deadline := time.Now().Add(stopTimeout)
	signaled := map[int]bool{}
	for {
		left := children(os.Getpid())
		for _, pid := range left {
			switch {
			case time.Now().After(deadline):
				_ = syscall.Kill(pid, syscall.SIGKILL)
			case !signaled[pid]:
				signaled[pid] = true
				_ = syscall.Kill(pid, syscall.SIGTERM)
				_ = syscall.Kill(pid, syscall.SIGCONT)
			}
		}
		if _, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); errors.Is(err, syscall.ECHILD) {
			return
		}
		select {
		case <-p.signals: // probably SIGCHLD
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
			continue // the process has ended
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
