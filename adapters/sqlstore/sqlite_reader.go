package sqlstore

import (
	"context"
	"encoding/json"
)

// sqliteReader reads through the pool of the writer: the commit that rang the bell is still going on then, and holds the
// one connection until it is done. Positions rise in commit order.
type sqliteReader struct {
	bell
	db *DB
}

var _ outboxReader = sqliteReader{}

func (r sqliteReader) pending(ctx context.Context, limit int) (rows []outboxRow, err error) {
	err = r.db.write.SelectContext(ctx, &rows, `SELECT position, kind, body FROM outbox ORDER BY position LIMIT ?`, limit)
	return rows, err
}

func (r sqliteReader) remove(ctx context.Context, positions []int64) error {
	list, err := json.Marshal(positions)
	if err != nil {
		return err
	}
	_, err = r.db.write.ExecContext(ctx, `DELETE FROM outbox WHERE position IN (SELECT value FROM json_each(?))`, string(list))
	return err
}
