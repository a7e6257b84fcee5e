package tlsconf_test

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"

	"github.com/rudderpost/rudderpost/transport/tlsconf"
)

// A daemon has only a folder, and a client may read that folder.
func Example() {
	dir, err := os.MkdirTemp("", "pki")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)

	daemon, err := tlsconf.Auto(dir, []string{"localhost"})
	if err != nil {
		panic(err)
	}
	config, err := daemon.Config(tls.RequireAndVerifyClientCert, "rudderpost.v1")
	if err != nil {
		panic(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer listener.Close()

	admin, err := tlsconf.ClientFrom(dir, "admin").Config("localhost", "rudderpost.v1")
	if err != nil {
		panic(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := tls.Dial("tcp", listener.Addr().String(), admin)
		if err != nil {
			panic(err)
		}
		_ = conn.Close()
	}()
	raw, err := listener.Accept()
	if err != nil {
		panic(err)
	}
	conn := tls.Server(raw, config)
	defer conn.Close()
	if err := conn.Handshake(); err != nil {
		panic(err)
	}
	<-done
	fmt.Println(tlsconf.Creds(conn.ConnectionState())[0].Subject())
	// Output: cert:admin
}
