//go:build unix

package hooks

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A running is a process of the system, the leader of a group of its own.
type running struct {
	cmd         *exec.Cmd
	in, out     *os.File // our ends of its stdin and stdout
	stderr      *os.File
	exited      chan struct{}
	heard       chan struct{} // closed when its stderr has been read
	last        string        // line of stderr; once heard
	how         error         // once exited
	mu          sync.Mutex
	gone        bool // its number may be another's
	inputClosed sync.Once
}

// defaultPath is the PATH of processes, unless their configuration has one.
const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

func startProcess(cfg *Config, stderr func(line string)) (process, error) {
	if err := trusted(cfg); err != nil {
		return nil, err
	}
	if _, err := os.Stat(cfg.Dir); err != nil { // of which exec's error would say that it is the program
		return nil, fmt.Errorf("dir: %w", err)
	}
	p := &running{exited: make(chan struct{}), heard: make(chan struct{})}
	p.cmd = &exec.Cmd{Path: cfg.Exec[0], Args: cfg.Exec, Dir: cfg.Dir, Env: append([]string{defaultPath}, cfg.Env...)}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	dieWithUs(p.cmd.SysProcAttr)
	theirs, err := p.pipes()
	if err != nil {
		return nil, err
	}
	started := make(chan error, 1)
	go p.live(started)
	err = <-started
	for _, f := range theirs {
		_ = f.Close()
	}
	if err != nil {
		_ = p.Close()
		_ = p.stderr.Close()
		return nil, hinted(cfg.Exec[0], err)
	}
	go p.hear(stderr)
	return p, nil
}

// pipes makes the three pipes. They are files, so that nobody but their readers waits for who holds them.
func (p *running) pipes() (theirs []*os.File, err error) {
	var made []*os.File
	pipe := func() (r, w *os.File) {
		if err == nil {
			if r, w, err = os.Pipe(); err == nil {
				made = append(made, r, w)
			}
		}
		return r, w
	}
	var stdin, stdout, stderr *os.File
	stdin, p.in = pipe()
	p.out, stdout = pipe()
	p.stderr, stderr = pipe()
	if err != nil {
		for _, f := range made {
			_ = f.Close()
		}
		return nil, err
	}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = stdin, stdout, stderr
	return []*os.File{stdin, stdout, stderr}, nil
}

// live starts the process and waits for its end, on one thread: where the system ends a child with the
// thread that started it, that thread is here as long as the child.
func (p *running) live(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	p.how = p.reap()
	_ = p.stderr.SetReadDeadline(time.Now().Add(aMoment)) // whoever has left the group may hold it
	close(p.exited)
}

// hear reads stderr line by line. Who writes too much is read more slowly, and so has to wait.
func (p *running) hear(line func(string)) {
	defer close(p.heard)
	defer p.stderr.Close()
	r := bufio.NewReaderSize(p.stderr, maxLine)
	q := quota{burst: 200, rate: 50}
	for {
		text, err := r.ReadSlice('\n')
		if s := strings.ToValidUTF8(strings.TrimRight(string(text), "\r\n"), "\ufffd"); s != "" {
			p.last = s
			line(s)
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
		if wait := q.take(); wait > 0 {
			select {
			case <-time.After(wait):
				q.take()
			case <-p.exited:
				q.rate = 1e6 // what is in the pipe is little
			}
		}
	}
}

func (p *running) Pid() int                { return p.cmd.Process.Pid }
func (p *running) Exited() <-chan struct{} { return p.exited }

func (p *running) Terminate() { p.tell(syscall.SIGTERM) }
func (p *running) Kill()      { p.tell(syscall.SIGKILL) }

func (p *running) tell(sig syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.gone {
		p.signal(sig)
	}
}

// signal sends a signal to the group. p.mu is held.
func (p *running) signal(sig syscall.Signal) { _ = syscall.Kill(-p.Pid(), sig) }

func (p *running) HowItEnded() string {
	<-p.exited
	<-p.heard
	how := "it ended with exit status 0"
	if p.how != nil {
		how = "it ended with " + p.how.Error()
	}
	if p.last != "" {
		how += ", after it said: " + p.last
	}
	return how
}

func (p *running) AwaitEnd() {
	<-p.exited
	<-p.heard
}

func (p *running) Read(b []byte) (int, error)            { return p.out.Read(b) }
func (p *running) Write(b []byte) (int, error)           { return p.in.Write(b) }
func (p *running) SetReadDeadline(t time.Time) error     { return p.out.SetReadDeadline(t) }
func (p *running) SetWriteDeadline(t time.Time) error    { return p.in.SetWriteDeadline(t) }
func (p *running) SyscallConn() (syscall.RawConn, error) { return p.out.SyscallConn() }
func (p *running) CloseInput()                           { p.inputClosed.Do(func() { _ = p.in.Close() }) }

// Close implements transport.ByteStream.
func (p *running) Close() error {
	p.CloseInput()
	return p.out.Close()
}
