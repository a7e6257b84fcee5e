// Package std has the commands that every daemon shares. Kea's, with Kea's names, arguments and results: version-get,
// build-report, status-get, config-get and the other config commands, statistic-get and the other statistic commands, and
// shutdown. Ours: log-level-get, log-level-set, session-list and session-kill. Each function returns commands as values; a daemon
// registers those that it needs beside its own:
//
//	stats := std.NewStatistics()
//	m := mgr.New(&mgr.Options{Observer: stats.Observer()})
//	err := m.Register(slices.Concat(
//		[]mgr.Command{std.Version("1.2.3", ""), std.BuildReport(), std.Shutdown(stop)},
//		stats.Commands(),
//	)...)
package std
