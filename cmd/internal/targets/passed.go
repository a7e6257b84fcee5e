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

// Passed are the sockets that systemd has opened and passed to this process, by the names that their
// units give them (FileDescriptorName=, else the unit's own). See sd_listen_fds(3).
type Passed map[string][]*os.File

// TakePassed takes them. The next call finds none, and child processes neither.
func TakePassed() Passed {
	passed := Passed{}
	for _, f := range activation.Files(true) {
		passed[f.Name()] = append(passed[f.Name()], f)
	}
	return passed
}

// take takes the next socket that has a name.
func (p Passed) take(name string) (*os.File, error) {
	files := p[name]
	if len(files) == 0 {
		have := "none was passed"
		if len(p) > 0 {
			have = "there are " + strings.Join(slices.Sorted(maps.Keys(p)), ", ")
		}
		return nil, fmt.Errorf("no socket named %q was passed (%s); set FileDescriptorName= in its unit", name, have)
	}
	if p[name] = files[1:]; len(p[name]) == 0 {
		delete(p, name)
	}
	return files[0], nil
}

// Listener takes a stream socket that has a name.
func (p Passed) Listener(name string) (net.Listener, error) {
	f, err := p.take(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() // the listener has a descriptor of its own
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("the socket %q that was passed cannot be listened on: %w", name, err)
	}
	return l, nil
}

// PacketConn takes a datagram socket that has a name.
func (p Passed) PacketConn(name string) (net.PacketConn, error) {
	f, err := p.take(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	c, err := net.FilePacketConn(f)
	if err != nil {
		return nil, fmt.Errorf("the socket %q that was passed takes no datagrams (ListenDatagram= in its unit): %w", name, err)
	}
	return c, nil
}

// Rest closes the sockets that nobody took, and names them.
func (p Passed) Rest() []string {
	names := slices.Sorted(maps.Keys(p))
	for _, files := range p {
		for _, f := range files {
			_ = f.Close()
		}
	}
	clear(p)
	return names
}
