// Rudderpostd is a daemon that does nothing but be commanded: it opens control sockets and answers
// the commands that every daemon shares.
//
//	rudderpostd [-c FILE] [-check]
//
// Without a file it opens one UNIX socket, for its own user and root, at
// $XDG_RUNTIME_DIR/rudderpost/control.sock (root: /run/rudderpost/control.sock), where steer looks
// too. The file is TOML; config.toml.example has all of its keys.
//
// SIGTERM and SIGINT end it, when what it has accepted is done; a second one ends it at once. SIGHUP has it
// open its log-file again. As a service of systemd (dist/systemd) it says when it is ready and when it ends,
// and feeds the watchdog from its loop.
package main
