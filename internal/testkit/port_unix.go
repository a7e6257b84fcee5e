//go:build unix

package testkit

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// The ports that Port gives out. They are below the ports that Linux, macOS and Windows choose for outgoing connections
// and for listeners at port 0, so no other socket gets one of them by chance.
const firstPort, ports = 20000, 12000

// Port returns an address 127.0.0.1:port at which nothing listens, over TCP and UDP. No other call returns the same port
// until the test has ended, also not in another process: a locked file stands for each port.
func Port(t testing.TB) string {
	t.Helper()
	address, release, err := ReservePort()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return address
}

// ReservePort is Port for a program that is no test. The port is reserved until the caller calls release, or the process
// ends.
func ReservePort() (address string, release func(), err error) {
	dir := filepath.Join(os.TempDir(), "rudderpost-ports-"+strconv.Itoa(os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", nil, err
	}
	for range 1000 {
		port := firstPort + rand.IntN(ports)
		lock, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(port)), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return "", nil, err
		}
		address := fmt.Sprintf("127.0.0.1:%d", port)
		if unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil || !free(address) {
			_ = lock.Close()
			continue
		}
		return address, func() { _ = lock.Close() }, nil
	}
	return "", nil, errors.New("no port is free: 1000 ports were tried")
}

// free reports whether TCP and UDP listeners can have an address.
func free(address string) bool {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return false
	}
	defer l.Close()
	p, err := net.ListenPacket("udp", address)
	if err != nil {
		return false
	}
	return p.Close() == nil
}

var loopback = regexp.MustCompile(`\b(127\.0\.0\.1|localhost):([1-9]\d*)`)

// OwnPorts returns a function that replaces the port of each 127.0.0.1:port and localhost:port in a text by one of Port.
// It replaces the same port by the same one in each text. With it a test runs a configuration or a document whose ports
// another program of the machine may have.
func OwnPorts(t testing.TB) func(text string) string {
	own := map[string]string{}
	return func(text string) string {
		t.Helper()
		return loopback.ReplaceAllStringFunc(text, func(address string) string {
			parts := loopback.FindStringSubmatch(address)
			if own[parts[2]] == "" {
				_, own[parts[2]], _ = net.SplitHostPort(Port(t))
			}
			return parts[1] + ":" + own[parts[2]]
		})
	}
}
