// Package mgr has the command manager: it owns a daemon's commands and listeners, and serves requests on conns.
//
// # Start here
//
// A daemon makes a manager, registers its commands and calls Run with its transports:
//
//	m := mgr.New(nil)
//	err := m.Register(mgr.Func("greet", "Say hello.", mgr.Read, greet))
//	…
//	err = m.Run(ctx, &unix.Transport{Path: "/run/greeter/control.sock"})
//
// Run returns when ctx has ended and the accepted commands are answered.
//
//   - [Func] makes a command of a Go function that runs on the daemon's loop, one at a time with everything else that the
//     loop runs. [Async] makes one that runs on its own goroutine; inside [OnLoop] its handler has the loop for a moment.
//   - An [Authorizer] decides for each call whether the peer may run the command. The default is [Owner]: the daemon's
//     user and root may do everything, the group of a UNIX socket may read, and other peers may do nothing.
//   - [Options] has the loop, the logger, the recorder, the observer and the limits. The zero value is meant for
//     production.
//   - A daemon that already has a loop sets Options.Loop; see package loop.
//   - [CommandMgr.Process] runs a command for the daemon itself, without a conn.
//   - [CommandMgr.Use] wraps the handlers of all commands, for example to measure them.
//
// Package std has the commands of every daemon, such as version-get and shutdown.
//
// # How a request is served
//
//	bytes ─► frame ─► request ─► authorization ─► queue ─► loop ─► handler
//	                                                                  │
//	bytes ◄─ frame ◄──────────── reply, reply, … reply ◄──────────────┘
//	└─ transport/* ─┘ └─ wire ─┘ └─────────────── mgr ───────────┘└ yours ┘
//
// The function (*conn).handleFrame has these steps, in this order. The reader goroutine of the conn runs them up to the
// queue, and mostly writes the replies, too.
package mgr
