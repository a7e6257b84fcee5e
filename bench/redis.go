package main

import "fmt"

var redisEcho = contestant{
	name: "redis", floor: "floor-unix-loop", can: fixed,
	note: "ECHO, in C, without JSON; there is no authorization",
	start: func(s *site) (endpoint, error) {
		at := endpoint{Network: "unix", Address: s.path("socket")}
		cmd, err := foreign("redis-server", "--unixsocket", at.Address, "--port", "0", "--save", "", "--dir", s.Dir,
			"--maxclients", "12000", "--loglevel", "warning")
		if err != nil {
			return endpoint{}, err
		}
		return startForeign(at, program{cmd, at})
	},
	wire: protocol{request: func(_ *site, value string, _ int) []byte {
		return fmt.Appendf(nil, "*2\r\n$4\r\nECHO\r\n$%d\r\n%s\r\n", len(sixty(value)), sixty(value))
	}},
}
