package main

var haproxyLevel = contestant{
	name: "haproxy", floor: "floor-unix-loop", can: both(fixed, func(w work) bool { return w.Depth == 1 && !w.Idle }),
	note: "the runtime socket's \"show cli level\", 9 bytes, in C; interactive (\"prompt\"), or it would close behind each command",
	start: func(s *site) (endpoint, error) {
		at := endpoint{Network: "unix", Address: s.path("socket")}
		config := s.path("haproxy.cfg")
		if err := writeConfig(config, "global\n  stats socket %s level admin\n  stats maxconn 2000\n  stats timeout 1h\n  maxconn 4000\ndefaults\n  timeout connect 1h\n  timeout client 1h\n  timeout server 1h\nfrontend none\n  bind %s\n", at.Address, s.path("none")); err != nil {
			return endpoint{}, err
		}
		cmd, err := foreign("haproxy", "-db", "-f", config)
		if err != nil {
			return endpoint{}, err
		}
		return startForeign(at, program{cmd, at})
	},
	wire: protocol{
		prologue: func(*site) []byte { return []byte("prompt\n") },
		request:  func(*site, string, int) []byte { return []byte("show cli level\n") },
		expect:   "admin",
	},
}
