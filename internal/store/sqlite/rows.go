package sqlite

import (
	"database/sql"
	"encoding/json"
)

// asJSON passes a list to a statement as one parameter, for json_each.
func asJSON[T any](list []T) string {
	if list == nil {
		return "[]"
	}
	text, err := json.Marshal(list)
	if err != nil {
		panic(err) // numbers and valid text
	}
	return string(text)
}

// all reads all rows of a query.
func all[T any](rows *sql.Rows, err error, scan func(row) (T, error)) (list []T, _ error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		item, err := scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, item)
	}
	return list, rows.Err()
}
