// SQL text to tokens, by PostgreSQL's lexical rules (src/backend/parser/scan.l of version 15) with
// standard_conforming_strings on. Bit strings and U& escapes are refused.
//
// A lexer gives one token at a time and ends with an endless row of MR_TOK_END. A lexical error is
// a token too (MR_TOK_ERROR, the diagnostic is in the lexer), so that it counts only when the
// parser gets there.
#pragma once

#include "host/base/arena.h"
#include "host/base/err.h"

enum mr_keyword {
	MR_NO_KEYWORD,
#define KW(id, text, class, bare) MR_KW_##id,
#include "host/sql/keywords.def"
#undef KW
	MR_KW_COUNT,
};

enum mr_keyword_class {
	MR_KW_RESERVED,
	MR_KW_UNRESERVED,
	MR_KW_COL_NAME,
	MR_KW_TYPE_FUNC,
};

struct mr_keyword_info {
	const char *text;
	uint8_t class;   // enum mr_keyword_class
	bool bare_label; // SELECT x word: a label without AS
};

// Indexed by enum mr_keyword.
extern const struct mr_keyword_info mr_keywords[MR_KW_COUNT];

// Finds a lower-case word, or MR_NO_KEYWORD.
enum mr_keyword mr_keyword_find(const char *word);

enum mr_token_kind {
	MR_TOK_END,
	MR_TOK_ERROR,
	MR_TOK_WORD,   // text folded; keyword is set if it is one
	MR_TOK_QUOTED, // "identifier": text
	MR_TOK_STRING, // text: the value
	MR_TOK_INT,    // fits int64: integer, text
	MR_TOK_NUMBER, // text
	MR_TOK_PARAM,  // integer
	MR_TOK_OP,     // text; also the one-character ones; `!=` has become `<>`
	MR_TOK_CAST,   // ::
	MR_TOK_ARROW,  // => or :=
	MR_TOK_DOTS,   // ..
	MR_TOK_CHAR,   // any other character, in `character`: , ( ) [ ] . ; : and what is no SQL
};

struct mr_token {
	uint8_t kind;      // enum mr_token_kind
	uint8_t character; // of MR_TOK_CHAR, its first byte
	uint16_t keyword;  // enum mr_keyword
	int pos;           // first character, counted from 1
	uint32_t off;      // first byte in the text
	uint32_t bytes;
	const char *text;
	int64_t integer;
};

struct mr_lexer {
	const uint8_t *text;
	uint32_t bytes;
	uint32_t at;
	uint32_t pos_off; // the byte that character number `pos` starts at
	int pos;
	struct mr_arena *arena;
	struct mr_diag diag; // of the last MR_TOK_ERROR
	int err;
};

// Starts at byte `at` of `text`, which must be valid UTF-8 and is borrowed.
void mr_lex_init(struct mr_lexer *l, struct mr_span text, uint32_t at, struct mr_arena *arena);

void mr_lex_next(struct mr_lexer *l, struct mr_token *out);

// Offset of the first byte that is not well-formed UTF-8 or is a NUL; `text.bytes` if all is well.
size_t mr_sql_utf8_bad(struct mr_span text);
