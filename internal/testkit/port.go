//go:build unix

// Package testkit has what tests of several packages need.
package testkit

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
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
	dir := filepath.Join(os.TempDir(), "rudderpost-ports-"+strconv.Itoa(os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		port := firstPort + rand.IntN(ports)
		lock, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(port)), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		address := fmt.Sprintf("127.0.0.1:%d", port)
		if unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil || !free(address) {
			_ = lock.Close()
			continue
		}
		t.Cleanup(func() { _ = lock.Close() })
		return address
	}
	t.Fatal("there is no free port")
	return ""
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
