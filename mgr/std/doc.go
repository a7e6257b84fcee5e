// Package std has the commands that every daemon shares, with Kea's names and shapes: version-get,
// build-report, status-get, config-get, config-hash-get, statistic-get and its kin, log-level-get
// and log-level-set, shutdown; and, ours, session-list and session-kill. Each function returns them as values; a daemon registers those that
// it wants beside its own:
//
//	stats := std.NewStatistics()
//	m := mgr.New(&mgr.Options{Observer: stats.Observer()})
//	err := m.Register(slices.Concat(
//		[]mgr.Command{std.Version("1.2.3", ""), std.BuildReport(), std.Shutdown(stop)},
//		stats.Commands(),
//	)...)
package std
