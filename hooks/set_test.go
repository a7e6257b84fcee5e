package hooks_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/hooks"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// A library calls functions of the test from Load and Unload.
type library struct {
	load   func(ctx context.Context, h *hooks.Host) error
	unload func()
}

func (l library) Load(ctx context.Context, h *hooks.Host) error { return l.load(ctx, h) }

func (l library) Unload(context.Context) {
	if l.unload != nil {
		l.unload()
	}
}

// libraries returns Set.Libraries from Load functions.
func libraries(loads map[string]func(ctx context.Context, h *hooks.Host) error) func(*hooks.Set) {
	return func(s *hooks.Set) {
		s.Libraries = map[string]func() hooks.Library{}
		for name, load := range loads {
			s.Libraries[name] = func() hooks.Library { return library{load: load} }
		}
	}
}

// answers returns a command with a constant reply.
func answers(name, what string) mgr.Command {
	return mgr.Func(name, "", mgr.Read, func(context.Context, mgr.None) (string, error) { return what, nil })
}

// A library is loaded with its parameters, kept while its configuration is the same, replaced when the configuration
// has changed, and unloaded when it is removed.
func TestLibraryIsLoadedKeptReplacedAndUnloaded(t *testing.T) {
	events := make(chan string, 100)
	d := start(t, func(s *hooks.Set) {
		s.Libraries = map[string]func() hooks.Library{"leases": func() hooks.Library {
			var p struct {
				Name string `json:"name"`
			}
			return library{
				load: func(_ context.Context, h *hooks.Host) error {
					if err := h.Parameters.Decode(&p); err != nil {
						return err
					}
					events <- "load " + p.Name
					h.Add(answers("lease-get", p.Name))
					return nil
				},
				unload: func() { events <- "unload " + p.Name },
			}
		}}
	})
	cfg := func(parameters string) hooks.Config {
		return hooks.Config{Name: "leases", Parameters: wire.Value(parameters)}
	}
	require.Equal(t, wire.CodeUnsupported, d.ask("lease-get", "").Code)
	require.NoError(t, d.load(cfg(`{"name":"one"}`)))
	require.Equal(t, "load one", <-events)
	require.Equal(t, `"one"`, text(d.ask("lease-get", "")))
	require.Contains(t, text(d.ask("describe-command", `{"command":"lease-get"}`)), `"owner":"leases"`)
	require.Contains(t, text(d.ask("list-commands", "")), `"lease-get"`)
	require.True(t, contains(text(d.ask("hook-list", "")), `[{"name":"leases","kind":"compiled-in","state":"running","commands":["lease-get"]`))
	require.Equal(t, wire.CodeError, d.ask("hook-list", `{"unknown":1}`).Code)

	require.NoError(t, d.load(cfg(`{"name":"one"}`)))
	require.NoError(t, d.load(cfg(`{"name":"two"}`)))
	require.Equal(t, "load two", <-events)
	require.Equal(t, "unload one", <-events)
	require.Equal(t, `"two"`, text(d.ask("lease-get", "")))

	require.ErrorContains(t, d.load(cfg(`{"nam":"three"}`)), `hook 'leases': json: `)
	require.Equal(t, `"two"`, text(d.ask("lease-get", "")))
	require.NoError(t, d.load())
	require.Equal(t, "unload two", <-events)
	require.Equal(t, wire.CodeUnsupported, d.ask("lease-get", "").Code)
	require.Empty(t, events)
}

// The middleware of the first library is the outermost; that of the daemon itself is around all of them.
func TestMiddlewareHasTheOrderOfTheConfiguration(t *testing.T) {
	var notes []string // the loop's
	noting := func(name string) func(mgr.Handler) mgr.Handler {
		return func(next mgr.Handler) mgr.Handler {
			return func(ctx context.Context, call *mgr.Call) (wire.Reply, error) {
				if call.Name == "status-get" {
					notes = append(notes, name)
				}
				return next(ctx, call)
			}
		}
	}
	around := func(_ context.Context, h *hooks.Host) error {
		h.Around(noting(h.Name))
		return nil
	}
	d := start(t, libraries(map[string]func(context.Context, *hooks.Host) error{"a": around, "b": around}))
	remove := d.Use(noting("daemon"))
	for _, order := range [][]string{{"a", "b"}, {"b", "a"}, {"b"}, {}} {
		var configs []hooks.Config
		for _, name := range order {
			configs = append(configs, hooks.Config{Name: name})
		}
		require.NoError(t, d.load(configs...))
		require.Zero(t, d.ask("status-get", "").Code)
		require.NoError(t, d.onLoop(func() error {
			require.Equal(t, append([]string{"daemon"}, order...), notes)
			notes = nil
			return nil
		}))
	}
	remove()
}

// Only named native commands that are not built in can be overridden. The native command is back when the hook is
// removed.
func TestOverridesReplaceOnlyNamedNativeCommands(t *testing.T) {
	adds := func(commands ...mgr.Command) func(context.Context, *hooks.Host) error {
		return func(_ context.Context, h *hooks.Host) error {
			h.Add(commands...)
			return nil
		}
	}
	d := start(t, libraries(map[string]func(context.Context, *hooks.Host) error{
		"over":    adds(answers("status-get", "over it"), answers("more", "more")),
		"again":   adds(answers("status-get", "over it too")),
		"more":    adds(answers("more", "and more")),
		"whoami":  adds(answers("whoami", "you")),
		"lower":   adds(answers("secret-get", "for everybody")),
		"nothing": adds(),
		"nil":     adds(mgr.Command{Name: "nil", Level: mgr.Read}),
	}))
	over := hooks.Config{Name: "over", Overrides: []string{"status-get"}}
	for range 2 {
		require.Equal(t, `"alive"`, text(d.ask("status-get", "")))
		require.NoError(t, d.load(over))
		require.Equal(t, `"over it"`, text(d.ask("status-get", "")))
		require.True(t, contains(text(d.ask("hook-list", "")), `"commands":["more","status-get"],"overrides":["status-get"]`))
		require.Contains(t, text(d.ask("describe-command", `{"command":"status-get"}`)), `"owner":"over"`)
		require.EqualError(t, d.Deregister("more"), "Can't uninstall command 'more': it belongs to 'over'")
		require.NoError(t, d.load())
		require.NotContains(t, text(d.ask("describe-command", `{"command":"status-get"}`)), `"owner"`)
	}
	require.NoError(t, d.load(over))
	for want, configs := range map[string][]hooks.Config{
		"command 'status-get' of 'over': Handler for command 'status-get' is already installed. Only an override by name covers it.": {{Name: "over"}},
		"hook 'again': 'over' overrides 'status-get' already":                                                                        {over, {Name: "again", Overrides: []string{"status-get"}}},
		"command 'status-get' of 'again': Handler for command 'status-get' is already installed, by 'over'.":                         {over, {Name: "again"}},
		"command 'more' of 'more': Handler for command 'more' is already installed, by 'over'.":                                      {over, {Name: "more"}},
		"command 'whoami' of 'whoami': Handler for command 'whoami' is already installed, and no hook library can override it.":      {{Name: "whoami", Overrides: []string{"whoami"}}},
		"command 'secret-get' of 'lower': it asks for read access only, and what it overrides for admin":                             {{Name: "lower", Overrides: []string{"secret-get"}}},
		"'nothing' overrides 'status-get', and has no such command, or there is none to override":                                    {{Name: "nothing", Overrides: []string{"status-get"}}},
		"'more' overrides 'more', and has no such command, or there is none to override":                                             {{Name: "more", Overrides: []string{"more"}}},
		"command 'nil' of 'nil': Specified command handler is NULL":                                                                  {{Name: "nil"}},
		"hook 'unknown': no library of this name is compiled in; say exec, or one of [\"again\"":                                     {{Name: "unknown"}},
		"hook 'more': there are two of this name":                                                                                    {{Name: "more"}, {Name: "more"}},
		"hook 'Bad Name': its name must have":                                                                                        {{Name: "Bad Name"}},
		"hook 'x': exec: 'hook.py' is no absolute path":                                                                              {{Name: "x", Exec: []string{"hook.py"}}},
		"hook 'x': dir: 'here' is no absolute path":                                                                                  {{Name: "x", Exec: []string{"/x"}, Dir: "here"}},
		"hook 'x': env: 'A' is not of the form NAME=value":                                                                           {{Name: "x", Exec: []string{"/x"}, Env: []string{"A"}}},
		"hook 'x': its parameters are no JSON":                                                                                       {{Name: "x", Parameters: wire.Value(`{"a":1,"a":1}`)}},
		"hook 'x': a folder, an environment, a timeout and a limit of output are for a process; say exec":                            {{Name: "x", Timeout: 1}},
		"hook 'x': a timeout and a limit of output are above 0":                                                                      {{Name: "x", Exec: []string{"/x"}, Timeout: -1}},
	} {
		require.ErrorContains(t, d.load(configs...), want)
		require.Equal(t, `"over it"`, text(d.ask("status-get", "")))
	}
}

// An error, a panic or a timeout of Load changes nothing, and libraries that were loaded by the same Prepare are
// unloaded. The time is virtual; only the endless Load takes any.
func TestFailedLoadChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		unloaded := make(chan string, 10)
		release := make(chan struct{})
		d := start(t, func(s *hooks.Set) {
			s.StartTimeout = 20 * time.Millisecond
			s.Libraries = map[string]func() hooks.Library{}
			for name, load := range map[string]func(context.Context, *hooks.Host) error{
				"good":   func(context.Context, *hooks.Host) error { return nil },
				"error":  func(context.Context, *hooks.Host) error { return errors.New("no database") },
				"panics": func(context.Context, *hooks.Host) error { panic("canary") },
				"endless": func(context.Context, *hooks.Host) error {
					<-release
					return nil
				},
				"around": func(_ context.Context, h *hooks.Host) error {
					h.Around(func(mgr.Handler) mgr.Handler { panic("canary") })
					return nil
				},
			} {
				s.Libraries[name] = func() hooks.Library {
					return library{load: load, unload: func() {
						unloaded <- name
						if name == "around" {
							panic("canary")
						}
					}}
				}
			}
		})
		err := d.load(hooks.Config{Name: "good"}, hooks.Config{Name: "error"}, hooks.Config{Name: "panics"}, hooks.Config{Name: "endless"})
		require.EqualError(t, err, "hook 'error': no database\nhook 'panics': panic: canary\nhook 'endless': it took longer than 20ms to load")
		require.Equal(t, "good", <-unloaded)
		close(release)
		require.Equal(t, "endless", <-unloaded)
		require.ErrorContains(t, d.load(hooks.Config{Name: "around"}), "panic in middleware while it wrapped a command: canary")
		require.Equal(t, "around", <-unloaded)
		require.Equal(t, `"alive"`, text(d.ask("status-get", "")))
		require.Empty(t, d.hooks.Status())
	})
}

// A change starts and stops only processes whose configuration has changed.
func TestChangeRestartsOnlyChangedProcesses(t *testing.T) {
	d := start(t, nil)
	kept, changed, removed := process(t, "kept", "echo"), process(t, "changed", "echo"), process(t, "removed", "echo")
	require.NoError(t, d.load(kept, changed, removed))
	before := d.hooks.Status()
	changed.Parameters = wire.Value(`{"now":"another"}`)
	added := process(t, "added", "echo")

	change, err := d.hooks.Prepare(t.Context(), []hooks.Config{added, changed, kept})
	require.NoError(t, err)
	require.Equal(t, before, d.hooks.Status())
	require.Equal(t, wire.CodeUnsupported, d.ask("added", "").Code)
	require.NoError(t, d.onLoop(change.Commit))
	require.EqualError(t, d.onLoop(change.Commit), "this change of the hook libraries has been committed or discarded before")
	change.Discard()

	after := d.hooks.Status()
	require.Equal(t, []string{"added", "changed", "kept"}, []string{after[0].Name, after[1].Name, after[2].Name})
	require.Equal(t, before[0], after[2])
	require.NotEqual(t, before[1].PID, after[1].PID)
	require.Contains(t, text(d.ask("changed", "")), `{"now":"another"}`)
	require.Equal(t, wire.CodeUnsupported, d.ask("removed", "").Code)
	for _, pid := range []int{before[1].PID, before[2].PID} {
		d.eventually(func() bool { return !processExists(pid) }, "it does not end")
	}

	// What was prepared on top of something else is not committed.
	first, err := d.hooks.Prepare(t.Context(), []hooks.Config{kept})
	require.NoError(t, err)
	second, err := d.hooks.Prepare(t.Context(), []hooks.Config{kept, process(t, "new", "echo")})
	require.NoError(t, err)
	require.NoError(t, d.onLoop(first.Commit))
	require.EqualError(t, d.onLoop(second.Commit), "the hook libraries have changed since this change was prepared; prepare it again")
	second.Discard()
	require.Len(t, d.hooks.Status(), 1)
}

// Commit fails if a native command was registered with the same name after Prepare.
func TestCommitFailsIfANameIsTaken(t *testing.T) {
	d := start(t, nil)
	change, err := d.hooks.Prepare(t.Context(), []hooks.Config{process(t, "taken", "echo")})
	require.NoError(t, err)
	require.NoError(t, d.Register(answers("taken", "native")))
	require.ErrorContains(t, d.onLoop(change.Commit), "Handler for command 'taken' is already installed.")
	change.Discard()
	require.Empty(t, d.hooks.Status())
	require.Equal(t, `"native"`, text(d.ask("taken", "")))
}

func TestCloseStopsAllLibraries(t *testing.T) {
	d := start(t, nil)
	require.NoError(t, d.load(process(t, "good", "echo")))
	change, err := d.hooks.Prepare(t.Context(), []hooks.Config{process(t, "late", "echo")})
	require.NoError(t, err)
	require.NoError(t, d.hooks.Close(t.Context()))
	require.Equal(t, wire.CodeUnsupported, d.ask("good", "").Code)
	require.ErrorContains(t, change.Commit(), "closed")
	change.Discard()
	_, err = d.hooks.Prepare(t.Context(), nil)
	require.ErrorContains(t, err, "closed")

	// One in the process that does not end is not waited for.
	release := make(chan struct{})
	ended := make(chan struct{})
	d = start(t, func(s *hooks.Set) {
		s.Libraries = map[string]func() hooks.Library{"stays": func() hooks.Library {
			return library{
				load: func(context.Context, *hooks.Host) error { return nil },
				unload: func() {
					<-release
					close(ended)
				},
			}
		}}
	})
	require.NoError(t, d.load(hooks.Config{Name: "stays"}))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, d.hooks.Close(ctx), context.DeadlineExceeded)
	close(release)
	<-ended

	// A process that does not end is killed when ctx ends; otherwise the test would time out.
	d = start(t, nil)
	require.NoError(t, d.load(process(t, "ignore", "ignore-term")))
	pid := d.status("ignore").PID
	require.Zero(t, d.ask("ignore", "").Code)
	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, d.hooks.Close(ctx), context.Canceled)
	require.False(t, processExists(pid))
}

// The context of a call carries the rights of its caller.
func TestCommandsOfALibraryHaveTheirCallersRights(t *testing.T) {
	d := start(t, libraries(map[string]func(context.Context, *hooks.Host) error{"deputy": func(_ context.Context, h *hooks.Host) error {
		h.Add(mgr.Async("deputy", "", mgr.Read, func(ctx context.Context, _ mgr.None) (wire.Reply, error) {
			return h.Manager.ProcessEncoded(ctx, wire.Request{Command: "secret-get"})
		}))
		return nil
	}}))
	require.NoError(t, d.load(hooks.Config{Name: "deputy"}))
	require.Equal(t, `"the secret"`, text(d.ask("deputy", "")))
	r := ask(t, d.as("monitor"), "deputy", "")
	require.Equal(t, wire.CodeForbidden, r.Code)
	require.True(t, strings.HasPrefix(r.Text, "not for a monitor"))
}
