package main

import (
	"net"
	"os"
	"os/exec"
)

var (
	keaSocket = contestant{
		name: "kea", floor: "floor-unix-loop", can: both(fixed, oneShot),
		note: "Kea's own UNIX socket, version-get, about 250 bytes, in C++; it closes after each reply, without authorization",
		start: func(s *site) (endpoint, error) {
			kea, err := keaServer(s)
			if err != nil {
				return endpoint{}, err
			}
			return startForeign(kea.at, kea)
		},
		wire: protocol{request: func(*site, string, int) []byte { return []byte(`{"command":"version-get"}`) }, expect: `"result": 0`},
	}
	keaAgent = contestant{
		name: "kea-ctrl-agent", floor: "floor-http-loop", can: both(fixed, func(w work) bool { return w.Depth == 1 && w.Conns < 100 }),
		note:  "Kea's control agent in front of kea-dhcp4, version-get over HTTP; the CPU of both",
		start: startAgent,
		wire: protocol{
			request: func(*site, string, int) []byte {
				return post("/", "application/json", "", []byte(`{"command":"version-get","service":["dhcp4"]}`))
			},
			expect: `"result": 0`,
		},
	}
)

func keaServer(s *site) (program, error) {
	at := endpoint{Network: "unix", Address: s.path("kea.sock")}
	config := s.path("kea.conf")
	if err := writeConfig(config, `{"Dhcp4": {
		"interfaces-config": {"interfaces": []},
		"lease-database": {"type": "memfile", "persist": false},
		"loggers": [{"name": "kea-dhcp4", "severity": "ERROR"}],
		"control-socket": {"socket-type": "unix", "socket-name": %q}
	}}`, at.Address); err != nil {
		return program{}, err
	}
	cmd, err := foreign("kea-dhcp4", "-c", config)
	if err != nil {
		return program{}, err
	}
	inDir(cmd, s)
	return program{cmd, at}, nil
}

func startAgent(s *site) (endpoint, error) {
	kea, err := keaServer(s)
	if err != nil {
		return endpoint{}, err
	}
	port, err := freePort()
	if err != nil {
		return endpoint{}, err
	}
	at := endpoint{Network: "tcp", Address: net.JoinHostPort("127.0.0.1", port)}
	config := s.path("agent.conf")
	if err := writeConfig(config, `{"Control-agent": {"http-host": "127.0.0.1", "http-port": %s,
		"loggers": [{"name": "kea-ctrl-agent", "severity": "ERROR"}],
		"control-sockets": {"dhcp4": {"socket-type": "unix", "socket-name": %q}}}}`, port, kea.at.Address); err != nil {
		return endpoint{}, err
	}
	cmd, err := foreign("kea-ctrl-agent", "-c", config)
	if err != nil {
		return endpoint{}, err
	}
	inDir(cmd, s)
	return startForeign(at, kea, program{cmd, at})
}

// inDir makes Kea write its files to the directory of the site.
func inDir(cmd *exec.Cmd, s *site) {
	cmd.Env = append(os.Environ(), "KEA_LOCKFILE_DIR="+s.Dir, "KEA_PIDFILE_DIR="+s.Dir, "KEA_LOGGER_DESTINATION=stdout")
}
