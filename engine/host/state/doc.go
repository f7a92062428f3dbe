// Package state keeps the state of stacks in the files of Pulumi's DIY backend, and adds what that backend lacks:
// a journal, so that a change costs what it touches and survives a crash; durable files; and repair of a state that a
// dead process, a full disk or a bad disk left behind.
//
// The files are the stock ones (layout version 1, compact JSON), so that the plain CLI works on the same stacks. What
// is ours lies in .pulumi/journals, which the CLI does not look at:
//
//	journals/PROJECT/STACK.ndjson       the change in progress, or one that a dead process left
//	journals/PROJECT/STACK.ndjson.done  the last change that became a checkpoint
//
// The second one costs no bytes (it is the first one, renamed) and serves twice. Its last line names the checksum of
// the checkpoint, so that silent damage is seen. And with STACK.json.bak, the state before that change, it rebuilds the
// checkpoint from disk blocks that the checkpoint does not share.
//
// The stock lock keeps others from beginning, and does not keep a holder that has lost it from going on. In a table of
// PostgreSQL a fence does: see fence. Folders and buckets have nothing to look at the lock and write at once with; there a
// state that others have changed is seen before it is written.
package state
