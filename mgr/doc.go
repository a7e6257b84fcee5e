// Package mgr has the command manager: the table of a daemon's commands, and the conversations in
// which they are asked for.
//
//	bytes ─► frame ─► request ─► authorization ─► queue ─► loop ─► handler
//	                                                                  │
//	bytes ◄─ frame ◄──────────── reply, reply, … reply ◄──────────────┘
//	└─ transport/* ─┘ └─ wire ─┘ └─────────────── mgr ───────────┘└ yours ┘
//
// The function (*conversation).turn is that picture.
//
// A command is a value. [Func] makes one of a Go function that runs on the daemon's loop, one at a
// time with everything else that the loop runs; [Async] makes one that runs beside the loop and
// enters it, with [OnLoop], only for moments. Register adds them, Open opens a way in, Run does the
// rest:
//
//	m := mgr.New(nil)
//	err := m.Register(mgr.Func("greet", "Say hello.", mgr.Read, greet))
//	…
//	err = m.Run(ctx, &unix.Transport{Path: "/run/greeter/control.sock"})
//
// Everybody who may reach the socket is not everybody who may command: an [Authorizer] decides on
// every call. The default lets the daemon's own user and root do everything and everybody else
// nothing.
package mgr
