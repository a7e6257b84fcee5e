package targets

import (
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/coreos/go-systemd/v22/activation"
)

// PassedSockets are the sockets that systemd passed to this process, by name: FileDescriptorName= of the unit, or else
// the name of the unit. See sd_listen_fds(3).
type PassedSockets map[string][]*os.File

// TakePassedSockets returns the sockets that systemd passed. Later calls and child processes get none.
func TakePassedSockets() PassedSockets {
	passed := PassedSockets{}
	for _, f := range activation.Files(true) {
		passed[f.Name()] = append(passed[f.Name()], f)
	}
	return passed
}

// take removes and returns the next socket with a name.
func (p PassedSockets) take(name string) (*os.File, error) {
	files := p[name]
	if len(files) == 0 {
		passed := "none was passed"
		if len(p) > 0 {
			passed = "there are " + strings.Join(slices.Sorted(maps.Keys(p)), ", ")
		}
		return nil, fmt.Errorf("no socket named %q was passed (%s); set FileDescriptorName= in its unit", name, passed)
	}
	if p[name] = files[1:]; len(p[name]) == 0 {
		delete(p, name)
	}
	return files[0], nil
}

// Listener removes the next stream socket with a name, and returns it as a listener. The caller closes it.
func (p PassedSockets) Listener(name string) (net.Listener, error) {
	f, err := p.take(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() // the listener has its own descriptor
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("the passed socket %q is not a listener: %w", name, err)
	}
	return l, nil
}

// PacketConn removes the next datagram socket with a name, and returns it. The caller closes it.
func (p PassedSockets) PacketConn(name string) (net.PacketConn, error) {
	f, err := p.take(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	c, err := net.FilePacketConn(f)
	if err != nil {
		return nil, fmt.Errorf("the passed socket %q is not a datagram socket (set ListenDatagram= in its unit): %w", name, err)
	}
	return c, nil
}

// CloseUnused closes the sockets that were not taken, and returns their names in order.
func (p PassedSockets) CloseUnused() []string {
	names := slices.Sorted(maps.Keys(p))
	for _, files := range p {
		for _, f := range files {
			_ = f.Close()
		}
	}
	clear(p)
	return names
}
