package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"time"

	"github.com/rudderpost/rudderpost/internal/testkit"
)

// startForeign starts programs that are not ours, one after another, and waits for each until it accepts at its place.
func startForeign(e endpoint, programs ...program) (endpoint, error) {
	for _, p := range programs {
		if err := p.cmd.Start(); err != nil {
			return e, err
		}
		e.PIDs = append(e.PIDs, p.cmd.Process.Pid)
		ended := make(chan error, 1)
		go func() { ended <- p.cmd.Wait() }()
		if err := awaitPlace(p.at, ended); err != nil {
			return e, fmt.Errorf("%s: %w", p.cmd.Path, err)
		}
	}
	return e, nil
}

// A program is one that is not ours, and where it will listen.
type program struct {
	cmd *exec.Cmd
	at  endpoint
}

// awaitPlace waits until a place can be connected to. A program that is not ours says in no other way that it is ready.
func awaitPlace(at endpoint, ended <-chan error) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(20 * time.Second)
	for {
		if c, err := net.Dial(at.Network, at.Address); err == nil {
			return c.Close()
		}
		select {
		case err := <-ended:
			return errors.Join(errors.New("it has ended"), err)
		case <-timeout:
			return errors.New("it does not listen")
		case <-tick.C:
		}
	}
}

// reservedPorts has what releases the ports of freePort. They are reserved until the process ends.
var reservedPorts []func()

// freePort reserves a port on loopback at which nothing listens, for a program that cannot choose one itself. It must
// not be called by two goroutines at a time.
func freePort() (string, error) {
	address, release, err := testkit.ReservePort()
	if err != nil {
		return "", err
	}
	reservedPorts = append(reservedPorts, release)
	_, port, err := net.SplitHostPort(address)
	return port, err
}

func writeConfig(path, format string, arguments ...any) error {
	return os.WriteFile(path, fmt.Appendf(nil, format, arguments...), 0o600)
}
