"""T-SQL text to a syntax tree, by recursive descent over the published grammar's part that the contract needs.

What it doesn't know it refuses with error 102 (incorrect syntax) or 156 (near a keyword), as SQL Server does, before
anything of the batch has run.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Final, TypeVar

from connectors.hesabgar.simulator import nodes as n
from connectors.hesabgar.simulator.errors import SqlError, syntax
from connectors.hesabgar.simulator.lexer import Token, tokens
from connectors.hesabgar.simulator.types import (
    BIGINT,
    BIT,
    DATE,
    DATETIME,
    FLOAT,
    GUID,
    INT,
    MAX,
    MONEY,
    ROWVERSION,
    SMALLINT,
    SYSNAME,
    TINYINT,
    XML,
    Kind,
    SqlType,
    decimal_type,
)

Parsed = TypeVar("Parsed")

RESERVED: Final = frozenset(
    [
        "add",
        "all",
        "alter",
        "and",
        "any",
        "as",
        "asc",
        "authorization",
        "backup",
        "begin",
        "between",
        "break",
        "browse",
        "bulk",
        "by",
        "cascade",
        "case",
        "check",
        "checkpoint",
        "close",
        "clustered",
        "coalesce",
        "collate",
        "column",
        "commit",
        "compute",
        "constraint",
        "contains",
        "containstable",
        "continue",
        "convert",
        "create",
        "cross",
        "current",
        "current_date",
        "current_time",
        "current_timestamp",
        "current_user",
        "cursor",
        "database",
        "dbcc",
        "deallocate",
        "declare",
        "default",
        "delete",
        "deny",
        "desc",
        "disk",
        "distinct",
        "distributed",
        "double",
        "drop",
        "dump",
        "else",
        "end",
        "errlvl",
        "escape",
        "except",
        "exec",
        "execute",
        "exists",
        "exit",
        "external",
        "fetch",
        "file",
        "fillfactor",
        "for",
        "foreign",
        "freetext",
        "freetexttable",
        "from",
        "full",
        "function",
        "goto",
        "grant",
        "group",
        "having",
        "holdlock",
        "identity",
        "identity_insert",
        "identitycol",
        "if",
        "in",
        "index",
        "inner",
        "insert",
        "intersect",
        "into",
        "is",
        "join",
        "key",
        "kill",
        "left",
        "like",
        "lineno",
        "load",
        "merge",
        "national",
        "nocheck",
        "nonclustered",
        "not",
        "null",
        "nullif",
        "of",
        "off",
        "offsets",
        "on",
        "open",
        "opendatasource",
        "openquery",
        "openrowset",
        "openxml",
        "option",
        "or",
        "order",
        "outer",
        "over",
        "percent",
        "pivot",
        "plan",
        "precision",
        "primary",
        "print",
        "proc",
        "procedure",
        "public",
        "raiserror",
        "read",
        "readtext",
        "reconfigure",
        "references",
        "replication",
        "restore",
        "restrict",
        "return",
        "revert",
        "revoke",
        "right",
        "rollback",
        "rowcount",
        "rowguidcol",
        "rule",
        "save",
        "schema",
        "securityaudit",
        "select",
        "session_user",
        "set",
        "setuser",
        "shutdown",
        "some",
        "statistics",
        "system_user",
        "table",
        "tablesample",
        "textsize",
        "then",
        "to",
        "top",
        "tran",
        "transaction",
        "trigger",
        "truncate",
        "try_convert",
        "tsequal",
        "union",
        "unique",
        "unpivot",
        "update",
        "updatetext",
        "use",
        "user",
        "values",
        "varying",
        "view",
        "waitfor",
        "when",
        "where",
        "while",
        "with",
        "within",
        "writetext",
    ]
)
"""Words that name nothing unless they are quoted (SQL Server's list of reserved keywords)."""

_PLAIN: Final = {
    "bit": BIT,
    "tinyint": TINYINT,
    "smallint": SMALLINT,
    "int": INT,
    "integer": INT,
    "bigint": BIGINT,
    "float": FLOAT,
    "real": FLOAT,
    "money": MONEY,
    "date": DATE,
    "datetime": DATETIME,
    "uniqueidentifier": GUID,
    "rowversion": ROWVERSION,
    "timestamp": ROWVERSION,
    "sysname": SYSNAME,
    "xml": XML,
}
_SIZED: Final = {
    "nvarchar": Kind.NVARCHAR,
    "varchar": Kind.VARCHAR,
    "nchar": Kind.NCHAR,
    "char": Kind.CHAR,
    "varbinary": Kind.VARBINARY,
    "binary": Kind.BINARY,
}
_OPTIONS: Final = frozenset(
    [
        "ansi_nulls",
        "ansi_padding",
        "ansi_warnings",
        "ansi_null_dflt_on",
        "ansi_defaults",
        "arithabort",
        "concat_null_yields_null",
        "cursor_close_on_commit",
        "datefirst",
        "dateformat",
        "deadlock_priority",
        "fmtonly",
        "implicit_transactions",
        "language",
        "lock_timeout",
        "nocount",
        "noexec",
        "numeric_roundabort",
        "parseonly",
        "quoted_identifier",
        "rowcount",
        "textsize",
        "xact_abort",
    ]
)
_HINTS: Final = frozenset(
    [
        "holdlock",
        "nolock",
        "nowait",
        "paglock",
        "readcommitted",
        "readcommittedlock",
        "readpast",
        "readuncommitted",
        "repeatableread",
        "rowlock",
        "serializable",
        "tablock",
        "tablockx",
        "updlock",
        "xlock",
    ]
)
_COMPARISONS: Final = {
    "=": "=",
    "<>": "<>",
    "!=": "<>",
    "<": "<",
    ">": ">",
    "<=": "<=",
    ">=": ">=",
    "!<": ">=",
    "!>": "<=",
}
_NO_BRACKETS: Final = frozenset({"current_timestamp", "current_user", "session_user", "system_user", "user"})


class Parser:
    """One batch's tokens and a place among them."""

    def __init__(self, text: str, *, quoted_identifiers: bool = True) -> None:
        self._text = text
        self._tokens = tokens(text, quoted_identifiers=quoted_identifiers)
        self._at = 0
        self._quoted = quoted_identifiers

    # --- tokens -------------------------------------------------------------------------------------------------

    @property
    def _token(self) -> Token:
        return self._tokens[self._at]

    def _ahead(self, distance: int = 1) -> Token:
        return self._tokens[min(self._at + distance, len(self._tokens) - 1)]

    def _is(self, *keys: str) -> bool:
        return self._token.key in keys

    def _follows(self, *keys: str) -> bool:
        """Whether exactly these words come next."""
        return all(self._ahead(distance).key == key for distance, key in enumerate(keys))

    def _take(self) -> Token:
        token = self._token
        self._at += 1
        return token

    def _accept(self, *keys: str) -> bool:
        """Take these words if they come next."""
        if not self._follows(*keys):
            return False
        self._at += len(keys)
        return True

    def _expect(self, *keys: str) -> None:
        if not self._accept(*keys):
            raise self._error()

    def _error(self) -> SqlError:
        token = self._token
        if token.key in RESERVED:
            error = SqlError(156, f"Incorrect syntax near the keyword '{token.text}'.", severity=15)
        else:
            error = syntax(token.text or "end of batch")
        error.line = token.line
        return error

    def _list(self, parse: Callable[[], Parsed]) -> list[Parsed]:
        found = [parse()]
        while self._accept(","):
            found.append(parse())
        return found

    def _bracketed(self, parse: Callable[[], Parsed]) -> list[Parsed]:
        self._expect("(")
        found = self._list(parse)
        self._expect(")")
        return found

    # --- names and types ----------------------------------------------------------------------------------------

    def _identifier(self) -> str:
        token = self._token
        if token.kind == "name" or (token.kind == "word" and token.key not in RESERVED):
            self._at += 1
            return token.text
        raise self._error()

    def _name(self) -> n.Name:
        parts = [self._identifier()]
        while self._is("."):
            self._at += 1
            if self._is("."):
                parts.append("")
                continue
            parts.append(self._identifier())
        return tuple(parts)

    def _variable(self) -> str:
        if self._token.kind != "variable":
            raise self._error()
        return self._take().text.lower()

    def _whole(self) -> int:
        sign = -1 if self._accept("-") else 1
        value = self._token.value
        if self._token.kind != "number" or not isinstance(value, int):
            raise self._error()
        self._at += 1
        return sign * value

    def _type(self) -> SqlType:
        if self._token.kind not in ("word", "name"):
            raise self._error()
        word = self._take().text.lower()
        if word == "sys" and self._accept("."):
            word = self._take().text.lower()
        if word == "national" and self._is("char", "varchar", "character"):
            word = "n" + self._take().text.lower().replace("character", "char")
        if word == "float" or word == "real":
            if self._is("("):
                self._bracketed(self._whole)
            return FLOAT
        if word in _PLAIN:
            if word == "timestamp" or word == "rowversion":
                return ROWVERSION
            if word == "xml" and self._is("("):
                raise self._error()
            return _PLAIN[word]
        if word in ("decimal", "numeric", "dec"):
            sizes = self._bracketed(self._whole) if self._is("(") else [18]
            precision, scale = sizes[0], sizes[1] if len(sizes) > 1 else 0
            if not 1 <= precision <= 38:
                raise SqlError(1007, f"The number '{precision}' is out of the range for numeric (max 38).", severity=15)
            if not 0 <= scale <= precision:
                raise SqlError(
                    183, f"The scale ({scale}) for column must be within the range 0 to {precision}.", severity=15
                )
            return decimal_type(precision, scale)
        if word in ("datetime2", "time"):
            scale = self._bracketed(self._whole)[0] if self._is("(") else 7
            return SqlType(Kind.DATETIME2 if word == "datetime2" else Kind.TIME, scale=scale)
        if word in _SIZED:
            return SqlType(_SIZED[word], length=self._length(_SIZED[word]))
        error = SqlError(243, f"Type {word} is not a defined system type.")
        error.line = self._token.line
        raise error

    def type_alone(self) -> SqlType:
        """A text that is nothing but a type."""
        found = self._cast_type()
        if self._token.kind != "end":
            raise self._error()
        return found

    def _length(self, kind: Kind) -> int:
        if not self._accept("("):
            return 0
        length = MAX if self._accept("max") else self._whole()
        self._expect(")")
        limit = 4_000 if kind in (Kind.NVARCHAR, Kind.NCHAR) else 8_000
        if length != MAX and not 1 <= length <= limit:
            raise SqlError(131, f"The size ({length}) exceeds the maximum allowed ({limit}).", severity=15)
        return length

    def _declared_type(self) -> SqlType:
        """A type of a variable or column, where a missing length means 1."""
        found = self._type()
        if found.length == 0 and found.kind in _SIZED.values():
            return SqlType(found.kind, length=1)
        return found

    def _cast_type(self) -> SqlType:
        """A type in CAST and CONVERT, where a missing length means 30."""
        found = self._type()
        if found.length == 0 and found.kind in _SIZED.values():
            return SqlType(found.kind, length=30)
        return found

    # --- expressions --------------------------------------------------------------------------------------------

    def condition(self) -> n.Expression:
        """A search condition."""
        return self._logical("or", lambda: self._logical("and", self._negation))

    def _logical(self, operator: str, parse: Callable[[], n.Expression]) -> n.Expression:
        operands = [parse()]
        while self._accept(operator):
            operands.append(parse())
        return operands[0] if len(operands) == 1 else n.Logical(operator, tuple(operands))

    def _negation(self) -> n.Expression:
        if self._accept("not"):
            return n.Not(self._negation())
        return self._predicate()

    def _predicate(self) -> n.Expression:
        if self._is("exists"):
            self._at += 1
            return n.Exists(self._subquery())
        if self._is("(") and self._is_condition():
            self._expect("(")
            inner = self.condition()
            self._expect(")")
            return inner
        left = self.expression()
        if self._token.key in _COMPARISONS:
            operator = _COMPARISONS[self._take().key]
            return n.Comparison(operator, left, self.expression())
        if self._accept("is"):
            negated = self._accept("not")
            self._expect("null")
            return n.IsNull(left, negated)
        negated = self._accept("not")
        if self._accept("in"):
            return self._in(left, negated)
        if self._accept("between"):
            low = self.expression()
            self._expect("and")
            high = self.expression()
            inside = n.Logical("and", (n.Comparison(">=", left, low), n.Comparison("<=", left, high)))
            return n.Not(inside) if negated else inside
        if self._accept("like"):
            pattern = self.expression()
            escape = self.expression() if self._accept("escape") else None
            return n.Like(left, pattern, escape, negated)
        if isinstance(left, n.Logical | n.Comparison | n.Not | n.Exists | n.IsNull | n.InList | n.InQuery | n.Like):
            return left
        raise self._error()

    def _is_condition(self) -> bool:
        """Whether the bracket that comes next holds a condition rather than a value; nothing is taken."""
        start = self._at
        try:
            self._at += 1
            if self._is("select", "with"):
                return False
            self.condition()
            return self._is(")")
        except SqlError:
            return False
        finally:
            self._at = start

    def _in(self, left: n.Expression, negated: bool) -> n.Expression:
        if self._ahead().key in ("select", "with") or (self._ahead().key == "(" and self._ahead(2).key == "select"):
            return n.InQuery(left, self._subquery(), negated)
        return n.InList(left, tuple(self._bracketed(self.expression)), negated)

    def _subquery(self) -> n.Query:
        self._expect("(")
        query = self.query()
        self._expect(")")
        return query

    def expression(self) -> n.Expression:
        """A value."""
        left = self._term()
        while self._is("+", "-", "&", "|", "^"):
            operator = self._take().key
            left = n.Binary(operator, left, self._term())
        return left

    def _term(self) -> n.Expression:
        left = self._factor()
        while self._is("*", "/", "%"):
            operator = self._take().key
            left = n.Binary(operator, left, self._factor())
        return left

    def _factor(self) -> n.Expression:
        if self._is("-", "+", "~"):
            operator = self._take().key
            operand = self._factor()
            if operator == "-" and isinstance(operand, n.Literal) and isinstance(operand.value, int | Decimal | float):
                value = operand.value
                return _number(value.copy_negate() if isinstance(value, Decimal) else -value)
            return operand if operator == "+" else n.Unary(operator, operand)
        return self._postfix(self._primary())

    def _postfix(self, value: n.Expression) -> n.Expression:
        while True:
            if self._is(".") and self._ahead().key in ("value", "exist", "query") and self._ahead(2).key == "(":
                self._at += 1
                name = self._take().key
                value = n.Method(value, name, tuple(self._bracketed(self.expression)))
            elif self._accept("collate"):
                self._identifier()
            else:
                return value

    def _primary(self) -> n.Expression:
        token = self._token
        match token.kind:
            case "number":
                self._at += 1
                assert isinstance(token.value, int | Decimal | float)
                return _number(token.value)
            case "string":
                self._at += 1
                text = str(token.value)
                kind = Kind.NVARCHAR if token.text[:1] in "Nn" else Kind.VARCHAR
                return n.Literal(
                    text, SqlType(kind, length=min(max(len(text), 1), 8_000) if len(text) <= 4_000 else MAX)
                )
            case "hex":
                self._at += 1
                assert isinstance(token.value, bytes)
                return n.Literal(token.value, SqlType(Kind.VARBINARY, length=max(len(token.value), 1)))
            case "variable":
                self._at += 1
                return n.Variable(token.text.lower())
            case _:
                pass
        match token.key:
            case "(":
                if self._ahead().key in ("select", "with") or self._nested_select():
                    return n.Scalar(self._subquery())
                self._at += 1
                inner = self.expression()
                self._expect(")")
                return inner
            case "null":
                self._at += 1
                return n.Literal(None, INT)
            case "case":
                return self._case()
            case "cast" | "try_cast" if self._ahead().key == "(":
                self._at += 2
                operand = self.expression()
                self._expect("as")
                kind_of = self._cast_type()
                self._expect(")")
                return n.Cast(operand, kind_of, attempt=token.key == "try_cast")
            case "convert" | "try_convert" if self._ahead().key == "(":
                self._at += 2
                kind_of = self._cast_type()
                self._expect(",")
                operand = self.expression()
                style = self.expression() if self._accept(",") else None
                self._expect(")")
                return n.Cast(operand, kind_of, style, attempt=token.key == "try_convert")
            case "iif" if self._ahead().key == "(":
                self._at += 2
                condition = self.condition()
                self._expect(",")
                then = self.expression()
                self._expect(",")
                otherwise = self.expression()
                self._expect(")")
                return n.Case(((condition, then),), otherwise)
            case "coalesce" | "nullif" | "left" | "right" if self._ahead().key == "(":
                self._at += 1
                return n.Call(token.key, tuple(self._bracketed(self.expression)))
            case key if key in _NO_BRACKETS:
                self._at += 1
                return n.Call(key, ())
            case _:
                return self._column_or_call()

    def _nested_select(self) -> bool:
        distance = 1
        while self._ahead(distance).key == "(":
            distance += 1
        return distance > 1 and self._ahead(distance).key == "select"

    def _column_or_call(self) -> n.Expression:
        if self._token.kind == "word" and self._ahead().key == "(":
            name = self._identifier().lower()
            return self._call(name)
        parts = [self._identifier()]
        while self._is("."):
            if self._ahead().key in ("value", "exist", "query", "nodes") and self._ahead(2).key == "(":
                break
            self._at += 1
            if self._accept("*"):
                return n.Star(tuple(parts))
            parts.append(self._identifier())
        return n.Column(tuple(parts))

    def _call(self, name: str) -> n.Expression:
        self._expect("(")
        distinct = self._accept("distinct")
        arguments: tuple[n.Expression, ...] = ()
        if self._accept("*"):
            arguments = (n.Star(),)
        elif not self._is(")"):
            if name in ("dateadd", "datediff", "datepart", "datename"):
                part = self._identifier()
                self._expect(",")
                rest = self._list(self.expression)
                arguments = (n.Literal(part.lower(), SYSNAME), *rest)
            else:
                arguments = tuple(self._list(self.expression))
        self._expect(")")
        over = None
        if self._accept("over"):
            self._expect("(")
            partition = tuple(self._list(self.expression)) if self._accept("partition", "by") else ()
            order = tuple(self._list(self._order_item)) if self._accept("order", "by") else ()
            self._expect(")")
            over = n.Over(partition, order)
        return n.Call(name, arguments, distinct, over)

    def _case(self) -> n.Expression:
        self._expect("case")
        subject = None if self._is("when") else self.expression()
        branches = []
        while self._accept("when"):
            when = self.condition() if subject is None else n.Comparison("=", subject, self.expression())
            self._expect("then")
            branches.append((when, self.expression()))
        if not branches:
            raise self._error()
        otherwise = self.expression() if self._accept("else") else None
        self._expect("end")
        return n.Case(tuple(branches), otherwise)

    # --- queries ------------------------------------------------------------------------------------------------

    def query(self) -> n.Query:
        """A query with its WITH, ORDER BY and OFFSET."""
        if self._is("with"):
            tables = self._common_tables()
            return n.With(tables, self.query())
        left = self._query_term()
        while self._is("union", "except"):
            operator = self._take().key
            if operator == "union" and self._accept("all"):
                operator = "union all"
            left = n.SetOperation(operator, left, self._query_term())
        if not self._accept("order", "by"):
            return left
        order = tuple(self._list(self._order_item))
        offset, fetch = self._offset()
        if isinstance(left, n.Select):
            return _replace(left, order=order, offset=offset, fetch=fetch)
        if isinstance(left, n.SetOperation):
            return n.SetOperation(left.operator, left.left, left.right, order, offset, fetch)
        raise self._error()

    def _common_tables(self) -> tuple[tuple[str, tuple[str, ...], n.Query], ...]:
        self._expect("with")

        def one() -> tuple[str, tuple[str, ...], n.Query]:
            name = self._identifier()
            columns = tuple(self._bracketed(self._identifier)) if self._is("(") else ()
            self._expect("as")
            return name, columns, self._subquery()

        return tuple(self._list(one))

    def _offset(self) -> tuple[n.Expression | None, n.Expression | None]:
        if not self._accept("offset"):
            return None, None
        offset = self.expression()
        if not (self._accept("rows") or self._accept("row")):
            raise self._error()
        if not self._accept("fetch"):
            return offset, None
        if not (self._accept("next") or self._accept("first")):
            raise self._error()
        fetch = self.expression()
        if not (self._accept("rows") or self._accept("row")):
            raise self._error()
        self._expect("only")
        return offset, fetch

    def _query_term(self) -> n.Query:
        left = self._query_primary()
        while self._accept("intersect"):
            left = n.SetOperation("intersect", left, self._query_primary())
        return left

    def _query_primary(self) -> n.Query:
        if self._is("("):
            return self._subquery()
        return self._select()

    def _select(self) -> n.Select:
        self._expect("select")
        distinct = self._accept("distinct")
        if not distinct:
            self._accept("all")
        top, percent = self._top()
        items = tuple(self._list(self._item))
        into = self._table_name() if self._accept("into") else None
        source = self._sources() if self._accept("from") else None
        where = self.condition() if self._accept("where") else None
        group = tuple(self._list(self.expression)) if self._accept("group", "by") else ()
        having = self.condition() if self._accept("having") else None
        return n.Select(items, source, where, group, having, (), distinct, top, percent, into)

    def _top(self) -> tuple[n.Expression | None, bool]:
        if not self._accept("top"):
            return None, False
        if self._accept("("):
            top = self.expression()
            self._expect(")")
        else:
            top = _number(self._whole())
        return top, self._accept("percent")

    def _item(self) -> n.Item:
        if self._accept("*"):
            return n.Item(n.Star())
        if self._token.kind == "variable" and self._ahead().key == "=":
            variable = self._variable()
            self._at += 1
            return n.Item(self.expression(), variable=variable)
        if self._token.kind in ("word", "name") and self._ahead().key == "=" and self._token.key not in RESERVED:
            alias = self._identifier()
            self._at += 1
            return n.Item(self.expression(), alias)
        expression = self.expression()
        if isinstance(expression, n.Star):
            return n.Item(expression)
        return n.Item(expression, self._alias())

    def _alias(self) -> str | None:
        if self._accept("as"):
            if self._token.kind == "string":
                return str(self._take().value)
            return self._identifier()
        if self._token.kind == "name" or (self._token.kind == "word" and self._token.key not in RESERVED):
            if self._token.key in ("offset", "go"):
                return None
            if self._starts_statement():
                return None
            return self._identifier()
        return None

    def _starts_statement(self) -> bool:
        """Whether a word that isn't reserved begins the next statement rather than being an alias."""
        return self._token.key == "throw" or self._token.key == "receive"

    def _order_item(self) -> n.Order:
        expression = self.expression()
        if self._accept("desc"):
            return n.Order(expression, True)
        self._accept("asc")
        return n.Order(expression, False)

    def _sources(self) -> n.Source:
        source = self._joined()
        while self._accept(","):
            source = n.Join("cross", source, self._joined(), None)
        return source

    def _joined(self) -> n.Source:
        left = self._source()
        while True:
            kind = self._join_kind()
            if kind is None:
                return left
            right = self._source() if kind in ("cross", "cross apply", "outer apply") else self._join_right()
            on = None
            if kind not in ("cross", "cross apply", "outer apply"):
                self._expect("on")
                on = self.condition()
            left = n.Join(kind, left, right, on)

    def _join_right(self) -> n.Source:
        """The right side; a further join before our ON nests into it."""
        right = self._source()
        while not self._is("on"):
            kind = self._join_kind()
            if kind is None:
                raise self._error()
            inner = self._join_right()
            self._expect("on")
            right = n.Join(kind, right, inner, self.condition())
        return right

    def _join_kind(self) -> str | None:
        for words, kind in (
            (("join",), "inner"),
            (("inner", "join"), "inner"),
            (("left", "join"), "left"),
            (("left", "outer", "join"), "left"),
            (("right", "join"), "right"),
            (("right", "outer", "join"), "right"),
            (("full", "join"), "full"),
            (("full", "outer", "join"), "full"),
            (("cross", "join"), "cross"),
            (("cross", "apply"), "cross apply"),
            (("outer", "apply"), "outer apply"),
        ):
            if self._accept(*words):
                return kind
        return None

    def _source(self) -> n.Source:
        if self._is("("):
            return self._bracketed_source()
        if self._token.kind == "variable":
            variable = self._variable()
            if self._is("."):
                return self._nodes(n.Variable(variable))
            return n.TableSource((variable,), self._alias() or variable)
        if self._is_nodes():
            parts = [self._identifier()]
            while not (self._is(".") and self._ahead().key == "nodes"):
                self._expect(".")
                parts.append(self._identifier())
            return self._nodes(n.Column(tuple(parts)))
        name = self._table_name()
        alias = self._alias() or name[-1]
        return n.TableSource(name, alias, self._hints())

    def _table_name(self) -> n.Name:
        if self._token.kind == "variable":
            return (self._variable(),)
        return self._name()

    def _is_nodes(self) -> bool:
        distance = 1
        while self._ahead(distance).key == ".":
            if self._ahead(distance + 1).key == "nodes" and self._ahead(distance + 2).key == "(":
                return True
            distance += 2
        return False

    def _nodes(self, target: n.Expression) -> n.Source:
        self._expect(".", "nodes", "(")
        if self._token.kind != "string":
            raise self._error()
        path = str(self._take().value)
        self._expect(")")
        self._accept("as")
        alias = self._identifier()
        column = self._bracketed(self._identifier)[0]
        return n.NodesSource(target, path, alias, column)

    def _bracketed_source(self) -> n.Source:
        following = self._ahead().key
        if following == "values":
            self._expect("(", "values")
            rows = tuple(self._list(lambda: tuple(self._bracketed(self.expression))))
            self._expect(")")
            return self._derived(n.Values(rows))
        if following in ("select", "with", "("):
            start = self._at
            try:
                return self._derived(self._subquery())
            except SqlError:
                if following != "(":
                    raise
                self._at = start
        self._expect("(")
        source = self._sources()
        self._expect(")")
        return source

    def _derived(self, query: n.Query) -> n.Source:
        self._accept("as")
        alias = self._identifier()
        columns = tuple(self._bracketed(self._identifier)) if self._is("(") else ()
        return n.DerivedSource(query, alias, columns)

    def _hints(self) -> frozenset[str]:
        if not self._follows("with", "("):
            return frozenset()
        self._at += 1

        def hint() -> str:
            word = self._take().key
            if word not in _HINTS:
                self._at -= 1
                raise self._error()
            return word

        return frozenset(self._bracketed(hint))

    # --- statements ---------------------------------------------------------------------------------------------

    def batch(self) -> n.Block:
        """The whole text as statements. Raises :class:`SqlError` with the line of the mistake."""
        block = n.Block(self._statements("end"), line=1)
        if self._token.kind != "end":
            raise self._error()
        return block

    def _statements(self, *closing: str) -> list[n.Statement]:
        found: list[n.Statement] = []
        while True:
            while self._accept(";"):
                pass
            if self._token.kind == "end" or self._token.key in closing:
                return found
            found.append(self.statement())

    def statement(self) -> n.Statement:
        """One statement."""
        line = self._token.line
        key = self._token.key
        parse = _STATEMENTS.get(key)
        if parse is None:
            if not self._at or self._tokens[self._at - 1].key == ";":
                return self._bare_execute(line)
            raise self._error()
        found = parse(self)
        found.line = line
        return found

    def _bare_execute(self, line: int) -> n.Statement:
        """A procedure's name at the beginning of a batch, without EXEC."""
        if self._at or self._token.kind not in ("word", "name"):
            raise self._error()
        found = self._procedure_call(None)
        found.line = line
        return found

    def _begin(self) -> n.Statement:
        if self._accept("begin", "tran") or self._accept("begin", "transaction"):
            return n.Begin(self._optional_name())
        if self._accept("begin", "try"):
            line = self._token.line
            body = n.Block(self._statements("end"), line=line)
            self._expect("end", "try")
            self._accept(";")
            self._expect("begin", "catch")
            line = self._token.line
            handler = n.Block(self._statements("end"), line=line)
            self._expect("end", "catch")
            return n.Try(body, handler)
        self._expect("begin")
        body_statements = self._statements("end")
        if not body_statements:
            raise self._error()
        self._expect("end")
        return n.Block(body_statements)

    def _optional_name(self) -> str | None:
        if self._token.kind == "variable":
            return self._variable()
        if self._token.kind in ("word", "name") and self._token.key not in RESERVED and not self._starts_statement():
            return self._identifier()
        return None

    def _commit(self) -> n.Statement:
        self._expect("commit")
        if self._accept("tran") or self._accept("transaction"):
            self._optional_name()
        else:
            self._accept("work")
        return n.Commit()

    def _rollback(self) -> n.Statement:
        self._expect("rollback")
        if self._accept("tran") or self._accept("transaction"):
            return n.Rollback(self._optional_name())
        self._accept("work")
        return n.Rollback(None)

    def _save(self) -> n.Statement:
        self._expect("save")
        if not (self._accept("tran") or self._accept("transaction")):
            raise self._error()
        name = self._optional_name()
        if name is None:
            raise self._error()
        return n.Save(name)

    def _if(self) -> n.Statement:
        self._expect("if")
        condition = self.condition()
        then = self._nested()
        at = self._at
        while self._accept(";"):
            pass
        if self._accept("else"):
            return n.If(condition, then, self._nested())
        self._at = at
        return n.If(condition, then, None)

    def _nested(self) -> n.Statement:
        if self._is(";"):
            raise self._error()
        return self.statement()

    def _while(self) -> n.Statement:
        self._expect("while")
        return n.While(self.condition(), self._nested())

    def _word(self, make: type[n.Break] | type[n.Continue]) -> n.Statement:
        self._at += 1
        return make()

    def _return(self) -> n.Statement:
        self._expect("return")
        token = self._token
        ends = token.kind == "end" or token.key in (";", "end", "else") or token.key in _STATEMENTS
        return n.Return(None if ends else self.expression())

    def _declare(self) -> n.Statement:
        self._expect("declare")
        if self._ahead().key == "table" or (self._ahead().key == "as" and self._ahead(2).key == "table"):
            name = self._variable()
            self._accept("as")
            self._expect("table")
            return n.DeclareTable(name, self._table_definition())

        def one() -> tuple[str, SqlType, n.Expression | None]:
            name = self._variable()
            self._accept("as")
            kind = self._declared_type()
            return name, kind, self.expression() if self._accept("=") else None

        return n.Declare(self._list(one))

    def _set(self) -> n.Statement:
        self._expect("set")
        if self._token.kind == "variable":
            name = self._variable()
            operator = self._take().key
            if operator == "=":
                return n.Assign(name, self.expression())
            if operator in ("+=", "-=", "*=", "/="):
                return n.Assign(name, n.Binary(operator[0], n.Variable(name), self.expression()))
            self._at -= 1
            raise self._error()
        if self._accept("transaction", "isolation", "level"):
            words = [self._take().key]
            if self._is("committed", "uncommitted", "read"):
                words.append(self._take().key)
            return n.SetOption(("isolation",), " ".join(words))
        if self._accept("identity_insert"):
            table = ".".join(self._name())
            return n.SetOption(("identity_insert", table), self._switch())
        names = tuple(self._list(lambda: self._take().key))
        if any(name not in _OPTIONS for name in names):
            raise self._error()
        return n.SetOption(names, self._switch())

    def _switch(self) -> str:
        token = self._take()
        if token.key == "-":
            return "-" + self._take().text
        if token.kind in ("word", "number", "string", "variable"):
            return str(token.value).lower()
        self._at -= 1
        raise self._error()

    def _ask(self) -> n.Statement:
        query = self.query()
        self._option()
        return n.Ask(query)

    def _option(self) -> None:
        if self._accept("option"):
            self._expect("(")
            while not self._accept(")"):
                if self._token.kind == "end":
                    raise self._error()
                self._at += 1

    def _with(self) -> n.Statement:
        tables = self._common_tables()
        if self._is("update"):
            update = self._update()
            assert isinstance(update, n.Update)
            update.with_ = tables
            return update
        if self._is("delete"):
            delete = self._delete()
            assert isinstance(delete, n.Delete)
            delete.with_ = tables
            return delete
        if self._is("insert"):
            insert = self._insert()
            assert isinstance(insert, n.Insert)
            if insert.query is None:
                raise self._error()
            insert.query = n.With(tables, insert.query)
            return insert
        query = self.query()
        self._option()
        return n.Ask(n.With(tables, query))

    def _insert(self) -> n.Statement:
        self._expect("insert")
        self._accept("into")
        table = self._table_name()
        self._hints()
        columns: tuple[str, ...] = ()
        if self._is("(") and self._ahead().key not in ("select", "with"):
            columns = tuple(self._bracketed(self._identifier))
        output = self._output()
        if self._accept("default", "values"):
            return n.Insert(table, (), None, None, output)
        if self._accept("values"):
            rows = tuple(self._list(lambda: tuple(self._bracketed(self._value_or_default))))
            if len(rows) > 1_000:
                raise SqlError(
                    10738,
                    "The number of row value expressions in the INSERT statement exceeds the maximum allowed number of "
                    "1000 row values.",
                    severity=15,
                )
            return n.Insert(table, columns, n.Values(rows), None, output)
        if self._is("exec", "execute"):
            execute = self._execute()
            assert isinstance(execute, n.Execute)
            return n.Insert(table, columns, None, execute, output)
        query = self.query()
        self._option()
        return n.Insert(table, columns, query, None, output)

    def _value_or_default(self) -> n.Expression:
        if self._accept("default"):
            return n.Call("default", ())
        return self.expression()

    def _output(self) -> n.Output | None:
        if not self._accept("output"):
            return None
        items = tuple(self._list(self._item))
        into: n.Name | None = None
        columns: tuple[str, ...] = ()
        if self._accept("into"):
            into = self._table_name()
            columns = tuple(self._bracketed(self._identifier)) if self._is("(") else ()
        return n.Output(items, into, columns)

    def _update(self) -> n.Statement:
        self._expect("update")
        top, _ = self._top()
        target = self._table_name()
        self._hints()
        self._expect("set")
        changes = tuple(self._list(self._change))
        output = self._output()
        source = self._sources() if self._accept("from") else None
        where = self.condition() if self._accept("where") else None
        self._option()
        return n.Update(target, changes, source, where, output, top)

    def _change(self) -> n.Change:
        variable: str | None = None
        column: n.Name | None = None
        if self._token.kind == "variable":
            variable = self._variable()
            self._expect("=")
            if self._token.kind in ("word", "name") and self._ahead().key == "=":
                column = (self._identifier(),)
                self._at += 1
            return n.Change(column, variable, self.expression())
        column = self._name()
        operator = self._take().key
        if operator == "=":
            return n.Change(column, None, self._value_or_default())
        if operator in ("+=", "-=", "*=", "/="):
            return n.Change(column, None, n.Binary(operator[0], n.Column(column), self.expression()))
        self._at -= 1
        raise self._error()

    def _delete(self) -> n.Statement:
        self._expect("delete")
        top, _ = self._top()
        self._accept("from")
        target = self._table_name()
        self._hints()
        output = self._output()
        source = self._sources() if self._accept("from") else None
        where = self.condition() if self._accept("where") else None
        self._option()
        return n.Delete(target, source, where, output, top)

    def _truncate(self) -> n.Statement:
        self._expect("truncate", "table")
        return n.Truncate(self._name())

    def _execute(self) -> n.Statement:
        self._at += 1
        if self._accept("("):
            text = self.expression()
            self._expect(")")
            return n.Execute(None, None, text, [], None)
        result = None
        if self._token.kind == "variable" and self._ahead().key == "=":
            result = self._variable()
            self._at += 1
        return self._procedure_call(result)

    def _procedure_call(self, result: str | None) -> n.Statement:
        procedure, variable = None, None
        if self._token.kind == "variable":
            variable = self._variable()
        else:
            procedure = self._name()
        arguments: list[n.Argument] = []
        token = self._token
        if not (token.kind == "end" or token.key in _STATEMENTS or token.key in (";", "end", "else", "with")):
            arguments = self._list(self._argument)
        if self._accept("with", "recompile"):
            pass
        return n.Execute(procedure, variable, None, arguments, result)

    def _argument(self) -> n.Argument:
        name = None
        if self._token.kind == "variable" and self._ahead().key == "=":
            name = self._variable()
            self._at += 1
        if self._accept("default"):
            return n.Argument(name, None, False)
        value: n.Expression
        token = self._token
        if token.kind == "word" and token.key not in RESERVED:
            self._at += 1
            value = n.Literal(token.text, SqlType(Kind.NVARCHAR, length=len(token.text)))
        else:
            value = self._factor()
        output = self._accept("output") or self._accept("out")
        return n.Argument(name, value, output)

    def _throw(self) -> n.Statement:
        self._expect("throw")
        token = self._token
        if token.kind == "end" or token.key in (";", "end", "else") or token.key in _STATEMENTS:
            return n.Throw(None, None, None)
        number = self._factor()
        self._expect(",")
        message = self._factor()
        self._expect(",")
        return n.Throw(number, message, self._factor())

    def _raiserror(self) -> n.Statement:
        self._expect("raiserror", "(")
        message = self.expression()
        self._expect(",")
        severity = self.expression()
        self._expect(",")
        state = self.expression()
        arguments = []
        while self._accept(","):
            arguments.append(self.expression())
        self._expect(")")
        options: list[str] = self._list(lambda: self._take().key) if self._accept("with") else []
        return n.RaiseError(message, severity, state, tuple(arguments), frozenset(options))

    def _print(self) -> n.Statement:
        self._expect("print")
        return n.Print(self.expression())

    def _waitfor(self) -> n.Statement:
        self._expect("waitfor", "delay")
        return n.WaitFor(self.expression())

    def _use(self) -> n.Statement:
        self._expect("use")
        return n.Use(self._identifier())

    # --- definitions --------------------------------------------------------------------------------------------

    def _create(self) -> n.Statement:
        self._expect("create")
        if self._accept("table"):
            return n.CreateTable(self._name(), self._table_definition())
        if self._is("procedure", "proc"):
            return self._procedure(alter=False)
        if self._is("view"):
            return self._view(alter=False)
        if self._accept("schema"):
            name = self._identifier()
            return n.CreateSchema(name, self._identifier() if self._accept("authorization") else "dbo")
        if self._accept("role"):
            name = self._identifier()
            return n.CreatePrincipal("role", name, self._identifier() if self._accept("authorization") else "")
        if self._accept("login"):
            return self._login("login")
        if self._accept("user"):
            name = self._identifier()
            login = name
            if self._accept("for", "login") or self._accept("from", "login"):
                login = self._identifier()
            if self._accept("with", "default_schema", "="):
                self._identifier()
            return n.CreatePrincipal("user", name, login)
        unique = self._accept("unique")
        self._accept("nonclustered") or self._accept("clustered")
        if self._accept("index"):
            return self._index(unique)
        raise self._error()

    def _login(self, kind: str) -> n.Statement:
        name = self._identifier()
        self._expect("with", "password", "=")
        if self._token.kind != "string":
            raise self._error()
        password = str(self._take().value)
        while self._accept(","):
            self._identifier()
            self._expect("=")
            self._take()
        return n.CreatePrincipal(kind, name, password)

    def _index(self, unique: bool) -> n.Statement:
        name = self._identifier()
        self._expect("on")
        table = self._name()
        columns = tuple(self._bracketed(self._index_column))
        if self._accept("include"):
            self._bracketed(self._identifier)
        where = self.condition() if self._accept("where") else None
        return n.CreateIndex(name, table, columns, unique, where)

    def _index_column(self) -> str:
        name = self._identifier()
        self._accept("asc") or self._accept("desc")
        return name

    def _table_definition(self) -> n.TableDefinition:
        self._expect("(")
        found = self._elements()
        self._expect(")")
        return found

    def _elements(self) -> n.TableDefinition:
        columns: list[n.ColumnDefinition] = []
        keys: list[n.KeyDefinition] = []
        checks: list[n.CheckDefinition] = []
        foreign: list[n.ForeignKeyDefinition] = []
        defaults: list[tuple[str, n.Expression, str]] = []
        while True:
            if self._is("constraint", "primary", "unique", "check", "foreign", "default"):
                self._table_constraint(keys, checks, foreign, defaults)
            else:
                columns.append(self._column_definition(keys, checks, foreign))
            if not self._accept(","):
                return n.TableDefinition(tuple(columns), tuple(keys), tuple(checks), tuple(foreign), tuple(defaults))

    def _constraint_name(self) -> str | None:
        return self._identifier() if self._accept("constraint") else None

    def _check(self, name: str | None) -> n.CheckDefinition:
        self._expect("check", "(")
        start = self._token.start
        condition = self.condition()
        text = self._text[start : self._token.start]
        self._expect(")")
        return n.CheckDefinition(name, condition, text.strip())

    def _key(self, name: str | None, columns: tuple[str, ...] | None) -> n.KeyDefinition:
        kind = "primary" if self._accept("primary", "key") else "unique"
        if kind == "unique":
            self._expect("unique")
        self._accept("clustered") or self._accept("nonclustered")
        if columns is None or self._is("("):
            columns = tuple(self._bracketed(self._index_column))
        return n.KeyDefinition(name, kind, columns)

    def _reference(self, name: str | None, columns: tuple[str, ...]) -> n.ForeignKeyDefinition:
        self._expect("references")
        table = self._name()
        references = tuple(self._bracketed(self._identifier)) if self._is("(") else ()
        return n.ForeignKeyDefinition(name, columns, table, references)

    def _table_constraint(
        self,
        keys: list[n.KeyDefinition],
        checks: list[n.CheckDefinition],
        foreign: list[n.ForeignKeyDefinition],
        defaults: list[tuple[str, n.Expression, str]],
    ) -> None:
        name = self._constraint_name()
        if self._is("check"):
            checks.append(self._check(name))
        elif self._accept("foreign", "key"):
            foreign.append(self._reference(name, tuple(self._bracketed(self._identifier))))
        elif self._accept("default"):
            start = self._token.start
            value = self._factor()
            text = self._text[start : self._token.start].strip()
            self._expect("for")
            defaults.append((self._identifier(), value, text))
        else:
            keys.append(self._key(name, None))

    def _column_definition(
        self,
        keys: list[n.KeyDefinition],
        checks: list[n.CheckDefinition],
        foreign: list[n.ForeignKeyDefinition],
    ) -> n.ColumnDefinition:
        name = self._identifier()
        if self._accept("as"):
            computed = self.expression()
            self._accept("persisted")
            return n.ColumnDefinition(name, INT, computed=computed)
        kind = self._declared_type()
        nullable, identity, default, default_text, collation = kind is not ROWVERSION, None, None, "", ""
        while True:
            if self._accept("not", "null"):
                nullable = False
            elif self._accept("null"):
                nullable = True
            elif self._accept("identity"):
                sizes = self._bracketed(self._whole) if self._is("(") else [1, 1]
                identity, nullable = (sizes[0], sizes[1]), False
            elif self._accept("collate"):
                collation = self._identifier()
            elif self._accept("rowguidcol"):
                continue
            else:
                at = self._at
                constraint = self._constraint_name()
                if self._accept("default"):
                    start = self._token.start
                    default = self._factor()
                    default_text = self._text[start : self._token.start].strip()
                elif self._is("primary", "unique"):
                    key = self._key(constraint, (name,))
                    nullable = nullable and key.kind != "primary"
                    keys.append(key)
                elif self._is("check"):
                    checks.append(self._check(constraint))
                elif self._is("references"):
                    foreign.append(self._reference(constraint, (name,)))
                else:
                    self._at = at
                    break
        return n.ColumnDefinition(name, kind, nullable, identity, default, default_text, None, collation)

    def _alter(self) -> n.Statement:
        self._expect("alter")
        if self._is("procedure", "proc"):
            return self._procedure(alter=True)
        if self._is("view"):
            return self._view(alter=True)
        if self._accept("role"):
            role = self._identifier()
            add = self._accept("add")
            if not add:
                self._expect("drop")
            self._expect("member")
            return n.AlterRole(role, self._identifier(), add)
        if self._accept("login"):
            return self._login("password")
        self._expect("table")
        name = self._name()
        if self._accept("with", "check") or self._accept("with", "nocheck") or self._accept("add"):
            self._accept("add")
            return n.AlterTable(name, self._elements())
        if self._accept("alter", "column"):
            return n.AlterTable(name, None, alter=self._column_definition([], [], []))
        self._expect("drop")
        if self._accept("column"):
            return n.AlterTable(name, None, drop_columns=tuple(self._list(self._identifier)))
        self._accept("constraint")
        return n.AlterTable(name, None, drop_constraints=tuple(self._list(self._identifier)))

    def _procedure(self, *, alter: bool) -> n.Statement:
        self._alone()
        self._at += 1
        name = self._name()
        opened = self._accept("(")
        parameters: list[n.Parameter] = []
        if self._token.kind == "variable":
            parameters = self._list(self._parameter)
        if opened:
            self._expect(")")
        options: list[str] = []
        execute_as = ""
        if self._accept("with"):
            while True:
                if self._accept("execute", "as") or self._accept("exec", "as"):
                    execute_as = str(self._take().value).lower()
                else:
                    options.append(self._take().key)
                if not self._accept(","):
                    break
        self._expect("as")
        line = self._token.line
        body = n.Block(self._statements(), line=line)
        if not body.body:
            raise self._error()
        return n.DefineProcedure(
            name, alter, tuple(parameters), frozenset(options), body, self._text, execute_as=execute_as
        )

    def _parameter(self) -> n.Parameter:
        name = self._variable()
        self._accept("as")
        kind = self._declared_type()
        default = self._factor() if self._accept("=") else None
        output = self._accept("output") or self._accept("out")
        self._accept("readonly")
        return n.Parameter(name, kind, default, output)

    def _view(self, *, alter: bool) -> n.Statement:
        self._alone()
        self._at += 1
        name = self._name()
        columns = tuple(self._bracketed(self._identifier)) if self._is("(") else ()
        if self._accept("with"):
            self._list(self._identifier)
        self._expect("as")
        query = self.query()
        self._accept("with", "check", "option")
        while self._accept(";"):
            pass
        if self._token.kind != "end":
            raise self._error()
        return n.DefineView(name, alter, columns, query, self._text)

    def _alone(self) -> None:
        """Refuse a definition that isn't its batch's first statement."""
        if self._at != 1:
            kind = self._token.text.upper()
            error = SqlError(111, f"'CREATE/ALTER {kind}' must be the first statement in a query batch.", severity=15)
            error.line = self._token.line
            raise error

    def _drop(self) -> n.Statement:
        self._expect("drop")
        if self._accept("index"):
            name = self._identifier()
            self._expect("on")
            return n.DropIndex(name, self._name())
        kind = self._take().key
        kind = "procedure" if kind == "proc" else kind
        if kind not in ("table", "view", "procedure", "schema", "role", "user", "login"):
            self._at -= 1
            raise self._error()
        return n.DropObjects(kind, tuple(self._list(self._name)))

    def _permission(self) -> n.Statement:
        action = self._take().key
        permissions = tuple(self._list(self._permission_name))
        columns = tuple(self._bracketed(self._identifier)) if self._is("(") else ()
        kind = "database"
        name: n.Name = ()
        if self._accept("on"):
            kind = "object"
            if self._accept("object", "::"):
                pass
            elif self._accept("schema", "::"):
                kind = "schema"
            name = self._name()
        if not (self._accept("to") or (action == "revoke" and self._accept("from"))):
            raise self._error()
        principals = tuple(self._list(self._principal))
        self._accept("with", "grant", "option")
        self._accept("cascade")
        return n.Permission(action, permissions, kind, name, columns, principals)

    def _permission_name(self) -> str:
        words = [self._take().key]
        while self._token.kind == "word" and not self._is("on", "to", "from"):
            words.append(self._take().key)
        return " ".join(words)

    def _principal(self) -> str:
        return self._take().text if self._is("public") else self._identifier()


def _number(value: int | Decimal | float) -> n.Literal:
    match value:
        case int():
            if -(1 << 31) <= value < 1 << 31:
                return n.Literal(value, INT)
            return n.Literal(Decimal(value), decimal_type(len(str(abs(value))), 0))
        case Decimal():
            parts = value.as_tuple()
            scale = -int(parts.exponent)
            return n.Literal(value, decimal_type(max(len(parts.digits), scale, 1), scale))
        case _:
            return n.Literal(value, FLOAT)


def _replace(
    select: n.Select, *, order: tuple[n.Order, ...], offset: n.Expression | None, fetch: n.Expression | None
) -> n.Select:
    return n.Select(
        select.items,
        select.source,
        select.where,
        select.group,
        select.having,
        order,
        select.distinct,
        select.top,
        select.top_percent,
        select.into,
        offset,
        fetch,
    )


_STATEMENTS: Final[dict[str, Callable[[Parser], n.Statement]]] = {
    "select": Parser._ask,
    "with": Parser._with,
    "insert": Parser._insert,
    "update": Parser._update,
    "delete": Parser._delete,
    "truncate": Parser._truncate,
    "begin": Parser._begin,
    "commit": Parser._commit,
    "rollback": Parser._rollback,
    "save": Parser._save,
    "if": Parser._if,
    "while": Parser._while,
    "break": lambda parser: parser._word(n.Break),
    "continue": lambda parser: parser._word(n.Continue),
    "return": Parser._return,
    "declare": Parser._declare,
    "set": Parser._set,
    "exec": Parser._execute,
    "execute": Parser._execute,
    "throw": Parser._throw,
    "raiserror": Parser._raiserror,
    "print": Parser._print,
    "waitfor": Parser._waitfor,
    "use": Parser._use,
    "create": Parser._create,
    "alter": Parser._alter,
    "drop": Parser._drop,
    "grant": Parser._permission,
    "deny": Parser._permission,
    "revoke": Parser._permission,
}


def parse(text: str, *, quoted_identifiers: bool = True) -> n.Block:
    """A batch's statements. Raises :class:`SqlError`."""
    return Parser(text, quoted_identifiers=quoted_identifiers).batch()


def declared(statements: Sequence[n.Statement]) -> dict[str, SqlType]:
    """The variables a batch or a procedure declares anywhere: T-SQL's scope is the whole batch."""
    found: dict[str, SqlType] = {}
    stack: list[n.Statement] = list(statements)
    while stack:
        match stack.pop():
            case n.Block(body=body):
                stack.extend(body)
            case n.If(then=then, otherwise=otherwise):
                stack.append(then)
                if otherwise is not None:
                    stack.append(otherwise)
            case n.While(body=inner):
                stack.append(inner)
            case n.Try(body=block, handler=handler):
                stack.extend((block, handler))
            case n.Declare(variables=variables):
                found.update((name, kind) for name, kind, _ in variables)
            case _:
                pass
    return found
