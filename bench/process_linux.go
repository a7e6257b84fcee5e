package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A server is a process that runs a contestant.
type server struct {
	endpoint
	cmd   *exec.Cmd
	stdin io.Closer
}

// errMissing is the error of a contestant whose program is not installed.
var errMissing = errors.New("is not installed")

// startServer starts a process of a bench program for a contestant. program may be empty: this one. The process ends with
// stop, or when this process does.
func startServer(program, name string, s *site, pinned bool) (*server, error) {
	cmd := partOf(program, "serve", name)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	if err := startOn(cmd, pinned); err != nil {
		return nil, err
	}
	sv := &server{cmd: cmd, stdin: stdin}
	if err := json.NewEncoder(stdin).Encode(s); err != nil {
		sv.stop()
		return nil, err
	}
	if err := json.NewDecoder(stdout).Decode(&sv.endpoint); err != nil {
		sv.stop()
		if cmd.ProcessState.ExitCode() == exitMissing {
			return nil, fmt.Errorf("%s %w", name, errMissing)
		}
		return nil, fmt.Errorf("%s did not start: %s", name, bytes.TrimSpace(complaint.Bytes()))
	}
	return sv, nil
}

func (sv *server) stop() {
	_ = sv.stdin.Close()
	_ = sv.cmd.Process.Kill()
	_ = sv.cmd.Wait()
}

// driveTimeout is the longest time of a measurement, besides its window. Ten thousand handshakes need a part of it.
const driveTimeout = 2 * time.Minute

// drive measures in a process of its own, of the bench program; empty: this one.
func drive(program string, j job) (result, error) {
	var r result
	cmd := partOf(program, "drive")
	text, err := json.Marshal(j)
	if err != nil {
		return r, err
	}
	cmd.Stdin = bytes.NewReader(text)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := startOn(cmd, j.Work.Pinned); err != nil {
		return r, err
	}
	late := time.AfterFunc(driveTimeout+5*j.Window, func() { _ = cmd.Process.Kill() }) // the driver waits for a reply that does not come
	defer late.Stop()
	if err := cmd.Wait(); err != nil {
		return r, fmt.Errorf("%s, %s: %w: %s", j.Contestant, j.Work.Name, err, bytes.TrimSpace(complaint.Bytes()))
	}
	return r, json.Unmarshal(out.Bytes(), &r)
}

// partOf returns a command that runs a part of a bench program: it serves or it drives. program may be empty: this one.
func partOf(program string, arguments ...string) *exec.Cmd {
	if program == "" {
		self, err := os.Executable()
		if err != nil {
			self = os.Args[0]
		}
		program = self
	}
	cmd := exec.Command(program, arguments...)
	cmd.Env = append(os.Environ(), partVariable+"=1", "QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING=true")
	return cmd
}

// startOn starts a process, pinned to one processor or not. A process inherits the processors of the thread that starts it. It
// must have them from the beginning, since the Go runtime counts its processors at the start.
func startOn(cmd *exec.Cmd, pinned bool) error {
	if !pinned {
		return cmd.Start()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var all, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return err
	}
	for cpu := range 1024 {
		if all.IsSet(cpu) {
			one.Set(cpu)
			break
		}
	}
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return err
	}
	defer func() { _ = unix.SchedSetaffinity(0, &all) }()
	return cmd.Start()
}

// foreign returns the command of a program of another project. The program is killed when this process ends.
func foreign(name string, arguments ...string) (*exec.Cmd, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		for _, dir := range []string{"/usr/sbin/", "/usr/libexec/"} {
			if path, err = exec.LookPath(dir + name); err == nil {
				break
			}
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, exec.ErrNotFound)
	}
	cmd := exec.Command(path, arguments...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	return cmd, nil
}

// cpuTime returns the CPU time of processes until now, in seconds.
func cpuTime(pids []int) float64 {
	var sum float64
	for _, pid := range pids {
		var t unix.Timespec
		if err := unix.ClockGettime(int32(^pid<<3|2), &t); err == nil { // the clock of another process: clock_getcpuclockid(3)
			sum += float64(t.Nano()) / 1e9
		}
	}
	return sum
}

// residents returns the resident memory of processes, in bytes.
func residents(pids []int) float64 {
	var sum float64
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
		if err != nil {
			continue
		}
		var size, resident float64
		_, _ = fmt.Sscan(string(text), &size, &resident)
		sum += resident * float64(os.Getpagesize())
	}
	return sum
}
