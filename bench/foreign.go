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

// startForeign starts programs of other projects one after another, and waits until each accepts connections.
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

// A program is a command of another project, with the address where it will listen.
type program struct {
	cmd *exec.Cmd
	at  endpoint
}

// awaitPlace waits until an address accepts connections. Programs of other projects do not tell otherwise that they are ready.
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

// reservedPorts has the functions that release the ports of freePort. The ports are reserved until the process ends.
var reservedPorts []func()

// freePort reserves a free port on loopback, for a program that cannot choose one itself. Two goroutines must not call it at
// the same time.
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
