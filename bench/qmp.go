package main

import "fmt"

var qemuQMP = contestant{
	name: "qmp", floor: "floor-unix-loop", can: both(fixed, func(w work) bool { return w.Conns == 1 && !w.Each }),
	note: "QEMU's machine protocol, query-version, about 100 bytes, in C; it has one client at a time",
	start: func(s *site) (endpoint, error) {
		at := endpoint{Network: "unix", Address: s.path("socket")}
		cmd, err := foreign("qemu-system-x86_64", "-machine", "none", "-nodefaults", "-display", "none",
			"-qmp", "unix:"+at.Address+",server=on,wait=off")
		if err != nil {
			return endpoint{}, err
		}
		return startForeign(at, program{cmd, at})
	},
	wire: protocol{
		prologue: func(*site) []byte { return []byte(`{"execute":"qmp_capabilities"}` + "\n") },
		request: func(_ *site, _ string, i int) []byte {
			return fmt.Appendf(nil, `{"execute":"query-version","id":%d}`+"\n", 10+i)
		},
		expect: `"qemu"`,
	},
}
