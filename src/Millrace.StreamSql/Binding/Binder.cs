using Millrace.StreamSql.Aggregates;
using Millrace.StreamSql.Expressions;
using Millrace.StreamSql.Operators;
using Millrace.StreamSql.Syntax;
using Millrace.StreamSql.Values;

namespace Millrace.StreamSql.Binding;

/// <summary>Gives names their meaning: script to plan. Notes every error; the plan is of use only when there is none.</summary>
internal sealed class Binder
{
    private readonly Script script;
    private readonly CompileOptions options;
    private readonly List<(int Position, string Message)> errors;
    private readonly List<(int Position, string Message)> warnings;
    private readonly ExpressionBinder expressions;
    private readonly WindowBinder windows;
    private readonly ScriptPlan plan = new();
    private readonly Dictionary<string, Relation?> steps = new(StringComparer.OrdinalIgnoreCase);
    private readonly Dictionary<Relation, long> reach = [];
    private int selectNumber;

    private Binder(Script script, CompileOptions options, List<(int, string)> errors, List<(int, string)> warnings)
    {
        this.script = script;
        this.options = options;
        this.errors = errors;
        this.warnings = warnings;
        expressions = new ExpressionBinder(options.Functions, errors);
        windows = new WindowBinder(expressions);
    }

    public static ScriptPlan Bind(
        Script script, CompileOptions options, List<(int Position, string Message)> errors, List<(int Position, string Message)> warnings)
        => new Binder(script, options, errors, warnings).Bind();

    private ScriptPlan Bind()
    {
        foreach (var table in script.Tables)
            BindTable(table);
        foreach (var step in script.Steps)
        {
            var relation = BindQuery(step.Query, step.Name.Name, isStep: true);
            if (!steps.TryAdd(step.Name.Name, relation))
                expressions.Error(step.Name.Position, $"duplicate step name {step.Name.Name}: it is defined twice");
        }

        foreach (var query in script.Queries)
        {
            if (query.Branches.Count == 0)
                continue;
            var name = query.Branches[0].Into?.Name ?? "output";
            if (BindQuery(query, name, isStep: false) is not { } relation)
                continue;
            var output = plan.Outputs.Find(o => o.Name.Equals(name, StringComparison.OrdinalIgnoreCase));
            if (output is null)
                plan.Outputs.Add(output = new OutputPlan(name, []));
            output.Queries.Add(relation);
            plan.WarmUpTicks = Math.Max(plan.WarmUpTicks, reach[relation]);
        }

        return plan;
    }

    private void BindTable(TableClause table)
    {
        if (!IsInput(table.Name.Name))
        {
            expressions.Error(table.Name.Position, $"unknown input {table.Name.Name}");
            return;
        }

        var input = InputOf(table.Name.Name);
        foreach (var column in table.Columns)
            input.Declared.Add((input.SlotOf([new PathPart(column.Name, 0)], options.AddDeviceId), column.Type, column.Name));
    }

    private bool IsInput(string name)
        => Contains(options.Inputs, name) || (options.AcceptAnyInput && !Contains(options.References, name));

    private static bool Contains(IReadOnlyCollection<string> names, string name)
        => names.Any(n => n.Equals(name, StringComparison.OrdinalIgnoreCase));

    private InputPlan InputOf(string name)
    {
        var input = plan.Inputs.Find(i => i.Name.Equals(name, StringComparison.OrdinalIgnoreCase));
        if (input is not null)
            return input;
        var spelling = options.Inputs.FirstOrDefault(n => n.Equals(name, StringComparison.OrdinalIgnoreCase)) ?? name;
        input = new InputPlan(spelling, plan.Inputs.Count);
        plan.Inputs.Add(input);
        return input;
    }

    /// <summary>Null when the query is broken beyond judging what reads it.</summary>
    private Relation? BindQuery(QueryClause query, string name, bool isStep)
    {
        var branches = new List<SelectRelation>();
        foreach (var select in query.Branches)
        {
            if (BindSelect(select, name) is { } relation)
                branches.Add(relation);
        }

        if (branches.Count == 0 || branches.Count < query.Branches.Count)
            return null;
        if (branches.Count == 1)
            return branches[0];
        if (!CheckUnion(query, branches))
            return null;
        var union = new UnionRelation([.. branches]);
        reach[union] = branches.Max(b => reach[b]);
        plan.Unions.Add(union);
        return union;
    }

    private bool CheckUnion(QueryClause query, List<SelectRelation> branches)
    {
        if (branches.Exists(b => b.HasStar))
            return true;
        var first = branches[0];
        for (var index = 1; index < branches.Count; index++)
        {
            if (branches[index].Results.Count != first.Results.Count)
            {
                expressions.Error(
                    query.Branches[index].Position,
                    $"this branch of the UNION has {branches[index].Results.Count} columns, the first has {first.Results.Count}");
                return false;
            }

            foreach (var column in branches[index].Results)
            {
                if (first.Results.Exists(r => r.Name!.Equals(column.Name, StringComparison.OrdinalIgnoreCase)))
                    continue;
                expressions.Error(column.Position, $"the column {column.Name} of this UNION branch is not in the first branch");
                return false;
            }
        }

        return true;
    }

    private SelectRelation? BindSelect(SelectClause select, string name)
    {
        var before = errors.Count;
        var result = new SelectRelation();
        var bound = new SelectPlan(new QueryIdentity(selectNumber++, name), result) { IsDistinct = select.IsDistinct };
        var scope = new Scope();
        long reached = 0;
        BindSources(select, bound, scope, ref reached);
        if (select.Match is not null)
        {
            var matched = MatchBinder.Bind(select.Match, bound, scope, expressions);
            if (matched is null)
                return null;
            reached += matched.Limit;
            bound.Match = matched;
            scope = new Scope();
            scope.Sources.Add(new ScopeSource(new MeasuresRelation(matched), select.Match.Alias?.Name ?? "", 0));
        }

        var aliases = Aliases(select);
        var place = RowPlace(select, bound, scope);
        if (select.Where is { } where)
        {
            WarnOfAliases(where, scope, aliases);
            bound.Where = expressions.Bind(where, place with { Aliases = aliases, NoAggregates = "is an aggregate and cannot stand in WHERE (use HAVING)" });
        }

        if (select.GroupBy is not null)
            BindGrouped(select, bound, scope, place, aliases, ref reached);
        else
            BindUngrouped(select, bound, scope, place);

        reached += bound.Analytics.Select(a => a.Limit).DefaultIfEmpty(0).Max();
        reach[result] = reached;
        bound.DistinctColumns = result.Results.Count;
        if (bound.IsDistinct)
        {
            foreach (var column in result.Results)
                result.SlotOf(column);
        }

        plan.Selects.Add(bound);
        return errors.Count > before ? null : result;
    }

    private static Place RowPlace(SelectClause select, SelectPlan bound, Scope scope)
    {
        var alone = scope.Sources.Count == 1 && select.Match is null;
        return new Place
        {
            Scope = scope,
            Analytics = alone ? bound.Analytics : null,
            AnalyticTexts = alone ? [] : null,
            NoAnalytics = "cannot be used with JOIN, APPLY or MATCH_RECOGNIZE: put it in a WITH step",
            NoAggregates = "is an aggregate and needs GROUP BY with a window",
        };
    }

    private static Dictionary<string, Expr> Aliases(SelectClause select)
    {
        var aliases = new Dictionary<string, Expr>(StringComparer.OrdinalIgnoreCase);
        foreach (var item in select.Items)
        {
            if (item is { Alias: { } alias, Expression: { } expression })
                aliases[alias] = expression;
        }

        return aliases;
    }

    private void WarnOfAliases(Expr where, Scope scope, Dictionary<string, Expr> aliases)
    {
        foreach (var path in PathsOf(where))
        {
            if (path.Parts.Length == 1 && aliases.TryGetValue(path.Parts[0].Name, out var aliased)
                && !(aliased is PathExpr same && same.Parts[^1].Name.Equals(path.Parts[0].Name, StringComparison.OrdinalIgnoreCase))
                && scope.Sources.All(s => s.Relation.Has(path.Parts[0].Name) != Presence.Yes))
            {
                warnings.Add((path.Position, $"{path.Parts[0].Name} in WHERE is a column of the SELECT list: an event's own field of that name goes first"));
            }
        }
    }

    private static IEnumerable<PathExpr> PathsOf(Expr? expression) => expression switch
    {
        PathExpr path => [path],
        MemberExpr member => PathsOf(member.Target),
        UnaryExpr unary => PathsOf(unary.Operand),
        BinaryExpr binary => PathsOf(binary.Left).Concat(PathsOf(binary.Right)),
        LogicExpr logic => logic.Operands.SelectMany(PathsOf),
        IsNullExpr isNull => PathsOf(isNull.Operand),
        BetweenExpr between => PathsOf(between.Operand).Concat(PathsOf(between.Low)).Concat(PathsOf(between.High)),
        InExpr oneOf => PathsOf(oneOf.Operand).Concat(oneOf.Items.SelectMany(PathsOf)),
        LikeExpr like => PathsOf(like.Operand).Concat(PathsOf(like.Pattern)),
        CaseExpr choice => PathsOf(choice.Operand).Concat(PathsOf(choice.Otherwise))
            .Concat(choice.Branches.SelectMany(b => PathsOf(b.When).Concat(PathsOf(b.Then)))),
        CastExpr cast => PathsOf(cast.Operand),
        CallExpr call => call.Arguments.SelectMany(PathsOf),
        _ => [],
    };

    private void BindSources(SelectClause select, SelectPlan bound, Scope scope, ref long reached)
    {
        var source = ResolveSource(select.Source, bound.Query, isFirst: true);
        bound.Source = source;
        reached = reach.GetValueOrDefault(source);
        AddSource(scope, source, select.Source.Alias ?? select.Source.Name);
        long span = 0;
        foreach (var link in select.Links)
        {
            if (link.IsApply)
            {
                BindApply(link, bound, scope);
                continue;
            }

            var before = errors.Count;
            var right = ResolveSource(link.Source!, bound.Query, isFirst: false);
            reached = Math.Max(reached, reach.GetValueOrDefault(right));
            AddSource(scope, right, link.Source!.Alias ?? link.Source.Name);
            if (right is ReferenceRelation reference)
                BindReferenceJoin(link, reference, bound, scope);
            else
                BindStreamJoin(link, right, bound, scope, ref span, before);
        }

        reached += span;
    }

    private void AddSource(Scope scope, Relation relation, PathPart alias)
    {
        if (scope.Find(alias.Name) is not null)
            expressions.Error(alias.Position, $"two sources are called {alias.Name}: give one an alias");
        scope.Sources.Add(new ScopeSource(relation, alias.Name, scope.Sources.Count));
    }

    /// <summary>What a source's name means. An unknown one has any field, so that the rest of its SELECT is judged all the same.</summary>
    private Relation ResolveSource(SourceClause source, QueryIdentity query, bool isFirst)
    {
        var name = source.Name.Name;
        if (steps.TryGetValue(name, out var step))
        {
            if (source.TimestampBy is not null)
                expressions.Error(source.TimestampPosition, $"TIMESTAMP BY is not allowed on the step {name}: its rows have their time");
            return step ?? Unknown(name);
        }

        if (Contains(options.References, name))
        {
            if (isFirst)
            {
                expressions.Error(source.Name.Position, $"the reference input {name} can only be the right side of a JOIN");
                return Unknown(name);
            }

            if (source.TimestampBy is not null)
                expressions.Error(source.TimestampPosition, $"TIMESTAMP BY is not allowed on the reference input {name}");
            var reference = plan.References.Find(r => r.Name.Equals(name, StringComparison.OrdinalIgnoreCase));
            if (reference is null)
                plan.References.Add(reference = new ReferenceRelation(options.References.First(n => n.Equals(name, StringComparison.OrdinalIgnoreCase))));
            return reference;
        }

        if (IsInput(name))
            return StreamOf(InputOf(name), source, query);
        string[] known = [.. steps.Keys, .. options.Inputs];
        var hint = known.Length is 0 or > 5 ? "" : $" (there is {string.Join(", ", known)})";
        expressions.Error(source.Name.Position, $"unknown input or step {name}{hint}");
        return Unknown(name);
    }

    private static StreamRelation Unknown(string name) => new(new InputPlan(name, 0), addsDeviceId: false);

    private StreamRelation StreamOf(InputPlan input, SourceClause source, QueryIdentity query)
    {
        var alias = (source.Alias ?? source.Name).Name;
        var text = source.TimestampBy is null
            ? ""
            : string.Join('|', source.TimestampOver.Prepend(source.TimestampBy).Select(e => ExprText.Of(e, alias)));
        var stream = input.Streams.Find(s => s.Text == text);
        if (stream is null)
        {
            stream = new StreamRelation(input, options.AddDeviceId) { Text = text };
            input.Streams.Add(stream);
            var scope = new Scope();
            scope.Sources.Add(new ScopeSource(stream, alias, 0));
            var place = new Place
            {
                Scope = scope,
                IsTimestampBy = true,
                NoAnalytics = "is not allowed in TIMESTAMP BY",
                NoAggregates = "is an aggregate and not allowed in TIMESTAMP BY",
            };
            if (source.TimestampBy is { } time)
                stream.TimestampBy = expressions.Bind(time, place);
            stream.Over = [.. source.TimestampOver.Select(o => expressions.Bind(o, place))];
            if (source.TimestampBy is not null && stream.Over.Length == 0 && Contains(options.ManyDeviceInputs, input.Name))
            {
                warnings.Add((source.TimestampPosition,
                    $"TIMESTAMP BY without OVER on {input.Name}: the fastest clock of all devices decides what is late; write TIMESTAMP BY … OVER id"));
            }
        }

        if (!stream.Readers.Contains(query))
            stream.Readers.Add(query);
        if (source.PartitionBy.Count > 0)
        {
            var scope = new Scope();
            scope.Sources.Add(new ScopeSource(stream, alias, 0));
            foreach (var key in source.PartitionBy)
            {
                expressions.Bind(key, new Place
                {
                    Scope = scope,
                    NoAnalytics = "is not allowed in PARTITION BY",
                    NoAggregates = "is an aggregate and not allowed in PARTITION BY",
                });
            }
        }

        return stream;
    }

    private void BindApply(LinkClause link, SelectPlan bound, Scope scope)
    {
        var call = link.Apply!;
        var elements = call.Is("GetArrayElements");
        if (!elements && !call.Is("GetRecordProperties"))
        {
            expressions.Error(call.Position, $"unknown function {call.Name}: APPLY takes GetArrayElements or GetRecordProperties");
            return;
        }

        if (call.Arguments.Count != 1)
        {
            expressions.Error(call.Position, $"{call.Name} takes 1 argument, found {call.Arguments.Count}");
            return;
        }

        var argument = expressions.Bind(call.Arguments[0], new Place
        {
            Scope = scope,
            NoAnalytics = "cannot be used with JOIN or APPLY: put it in a WITH step",
            NoAggregates = "is an aggregate and needs GROUP BY with a window",
        });
        bound.Links.Add(new ApplyLink(new ApplyPlan(argument, link.Kind == LinkKind.OuterApply, elements)));
        AddSource(scope, new ApplyRelation(elements), link.ApplyAlias);
    }

    private static Place OnPlace(Scope scope) => new()
    {
        Scope = scope,
        IsOn = true,
        NoAnalytics = "cannot be used with JOIN or APPLY: put it in a WITH step",
        NoAggregates = "is an aggregate and cannot stand in ON",
    };

    private void BindReferenceJoin(LinkClause link, ReferenceRelation reference, SelectPlan bound, Scope scope)
    {
        var place = OnPlace(scope);
        var conditions = Conditions(link.On!);
        var errorsBefore = errors.Count;
        var on = expressions.Bind(link.On!, place);
        bound.Links.Add(new ReferenceLink(
            reference, link.Kind == LinkKind.LeftJoin, EqualKeys(conditions, place), on, scope.Sources.Count - 1)
        {
            LeftChecks = Checks(conditions, place, right: false, errorsBefore),
            RightChecks = Checks(conditions, place, right: true, errorsBefore),
        });
    }

    private static List<Expr> Conditions(Expr on) => on is LogicExpr { IsAnd: true } all ? [.. all.Operands.SelectMany(Conditions)] : [on];

    private void BindStreamJoin(LinkClause link, Relation right, SelectPlan bound, Scope scope, ref long span, int errorsBefore)
    {
        var place = OnPlace(scope);
        var rightIndex = scope.Sources.Count - 1;
        var ranges = new Dictionary<int, (long Low, long High, long Told)>();
        var conditions = Conditions(link.On!);
        foreach (var condition in conditions)
        {
            if (TryBound(condition, scope, rightIndex, out var left, out var low, out var high, out var told))
            {
                var (oldLow, oldHigh, oldTold) = ranges.GetValueOrDefault(left, (long.MinValue, long.MaxValue, long.MaxValue));
                ranges[left] = (Math.Max(low, oldLow), Math.Min(high, oldHigh), Math.Min(told, oldTold));
            }
        }

        var bounds = ranges
            .Where(r => r.Value.Low != long.MinValue && r.Value.High != long.MaxValue)
            .Select(r => new TimeBound(r.Key, r.Value.Low, r.Value.High, r.Value.Told))
            .ToArray();
        if (bounds.Length == 0 && errors.Count == errorsBefore)
        {
            expressions.Error(
                link.Position,
                "a JOIN of streams needs a time bound with both ends: ON … AND DATEDIFF(unit, a, b) BETWEEN low AND high");
        }

        var on = expressions.Bind(link.On!, place);
        bound.Links.Add(new StreamLink(
            right, link.Kind == LinkKind.LeftJoin, bounds, span, EqualKeys(conditions, place), on, scope.Sources.Count - 1)
        {
            LeftChecks = Checks(conditions, place, right: false, errorsBefore),
            RightChecks = Checks(conditions, place, right: true, errorsBefore),
        });
        if (bounds.Length > 0)
            span += bounds.Max(b => Math.Max(Math.Abs(b.Low), Math.Abs(b.High)));
    }

    /// <summary>Nothing where ON has errors: they would be told twice.</summary>
    private JoinCheck[] Checks(List<Expr> conditions, Place place, bool right, int errorsBefore)
        => errors.Count > errorsBefore
            ? []
            : new JoinSides(place.Scope, place.Scope.Sources.Count - 1).Checks(conditions, right, e => expressions.Bind(e, place));

    /// <summary>Reads DATEDIFF(unit, a, b) BETWEEN or compared with whole numbers as a bound of right against left.</summary>
    /// <param name="told">The upper bound as written: of <c>&lt; 5</c> the 5.</param>
    private bool TryBound(Expr condition, Scope scope, int rightIndex, out int left, out long low, out long high, out long told)
    {
        left = -1;
        told = long.MaxValue;
        low = long.MinValue;
        high = long.MaxValue;
        Expr elapsed;
        long unit;
        int from;
        int to;
        var isStrict = false;
        switch (condition)
        {
            case BetweenExpr { Negated: false } between:
                elapsed = between.Operand;
                if (!expressions.TryElapsed(elapsed, scope, out unit, out from, out to)
                    || !TryConstant(between.Low, unit, out low) || !TryConstant(between.High, unit, out high))
                    return false;
                break;
            case BinaryExpr { Symbol: "=" or "<" or "<=" or ">" or ">=" } compare:
                var symbol = compare.Symbol;
                elapsed = compare.Left;
                var constant = compare.Right;
                if (!expressions.TryElapsed(elapsed, scope, out unit, out from, out to))
                {
                    (elapsed, constant) = (constant, elapsed);
                    if (!expressions.TryElapsed(elapsed, scope, out unit, out from, out to))
                        return false;
                    symbol = symbol switch { "<" => ">", "<=" => ">=", ">" => "<", ">=" => "<=", _ => "=" };
                }

                if (!TryConstant(constant, unit, out var size))
                    return false;
                isStrict = symbol is "<" or ">";
                if (symbol is "=" or ">=")
                    low = size;
                if (symbol is "=" or "<=")
                    high = size;
                if (symbol == ">")
                    low = size + 1;
                if (symbol == "<")
                    high = size - 1;
                break;
            default:
                return false;
        }

        if (from == to || (from != rightIndex && to != rightIndex))
            return false;
        left = to == rightIndex ? from : to;
        if (from == rightIndex)
            (low, high) = (high == long.MaxValue ? long.MinValue : -high, low == long.MinValue ? long.MaxValue : -low);
        told = high == long.MaxValue ? high : high + (isStrict ? 1 : 0);
        return true;
    }

    private bool TryConstant(Expr expression, long unit, out long ticks)
    {
        ticks = 0;
        if (!ExpressionBinder.TryWhole(expression, out var count))
            return false;
        if (Int128.Abs((Int128)count * unit) > ExpressionBinder.SizeMax)
        {
            expressions.Error(expression.Position, $"the bound {count} of DATEDIFF is longer than 7 days");
            return false;
        }

        ticks = count * unit;
        return true;
    }

    /// <summary>left path = right path: such rows can be looked up. A path cannot fail, so the look-up changes no result.</summary>
    private (Node Left, Node Right)[] EqualKeys(List<Expr> conditions, Place place)
    {
        var scope = place.Scope;
        var rightIndex = scope.Sources.Count - 1;
        var keys = new List<(Node, Node)>();
        foreach (var condition in conditions)
        {
            if (condition is not BinaryExpr { Symbol: "=", Left: PathExpr a, Right: PathExpr b })
                continue;
            var sourceA = SourceOf(a, scope);
            var sourceB = SourceOf(b, scope);
            if (sourceA < 0 || sourceB < 0 || (sourceA == rightIndex) == (sourceB == rightIndex))
                continue;
            var (left, right) = sourceB == rightIndex ? (a, b) : (b, a);
            keys.Add((expressions.Bind(left, place), expressions.Bind(right, place)));
        }

        return [.. keys];
    }

    private static int SourceOf(PathExpr path, Scope scope)
        => path.Parts.Length > 1 && scope.Find(path.Parts[0].Name) is { } source ? source.Index : -1;

    private void BindUngrouped(SelectClause select, SelectPlan bound, Scope scope, Place place)
    {
        if (select.Having is { } having)
        {
            var aggregate = ExpressionBinder.FirstAggregate(having);
            expressions.Error(aggregate?.Position ?? select.HavingPosition, $"{aggregate?.Name ?? "HAVING"} needs GROUP BY with a window");
        }

        var columns = new List<ResultColumn>();
        for (var index = 0; index < select.Items.Count; index++)
        {
            var item = select.Items[index];
            if (item.IsStar)
                AddStar(item, select, scope, columns);
            else
                columns.Add(new ResultColumn(NameOf(item, index), expressions.Bind(item.Expression!, place)) { Position = item.Position });
        }

        AddResults(bound.Result, columns);
    }

    /// <summary>Of equal names the last wins.</summary>
    private static void AddResults(SelectRelation result, List<ResultColumn> columns)
    {
        for (var index = 0; index < columns.Count; index++)
        {
            var name = columns[index].Name;
            if (name is not null && columns.Skip(index + 1).Any(c => name.Equals(c.Name, StringComparison.OrdinalIgnoreCase)))
            {
                // It is not written, but an event on which it fails is a bad one all the same.
                result.AddColumn(columns[index].Node);
                continue;
            }

            result.Results.Add(columns[index]);
            if (name is not null)
                result.SlotOf(columns[index]);
        }
    }

    private static string NameOf(SelectItem item, int index)
    {
        if (item.Alias is { } alias)
            return alias;
        switch (item.Expression)
        {
            case PathExpr path:
                return path.Parts[^1].Name;
            case MemberExpr member:
                return member.Member.Name;
            case CallExpr call:
                return call.Name[(call.Name.LastIndexOf('.') + 1)..];
            case CastExpr cast:
                return cast.Name;
            default:
                return $"column{index + 1}";
        }
    }

    private void AddStar(SelectItem item, SelectClause select, Scope scope, List<ResultColumn> columns)
    {
        if (item.StarPath.Length == 0)
        {
            if (select.Links.Exists(l => !l.IsApply))
            {
                expressions.Error(item.Position, "* is not allowed with JOIN: write alias.* or name the columns");
                return;
            }

            columns.AddRange(scope.Sources[0].Relation.Star(0));
            foreach (var applied in scope.Sources.Skip(1))
                columns.Add(new ResultColumn(applied.Alias, ExpressionBinder.WholeRow(applied)) { Position = item.Position });
            return;
        }

        if (item.StarPath.Length == 1 && scope.Find(item.StarPath[0].Name) is { } source)
        {
            columns.AddRange(source.Relation.Star(source.Index));
            return;
        }

        var node = expressions.Bind(new PathExpr(item.StarPath), new Place { Scope = scope });
        columns.Add(new ResultColumn(null, node)
        {
            InnerHas = _ => Presence.Maybe,
            Inner = parts =>
            {
                var inner = node;
                foreach (var part in parts)
                    inner = new FieldNode(inner, System.Text.Encoding.UTF8.GetBytes(part.Name));
                return inner;
            },
        });
    }

    private void BindGrouped(
        SelectClause select, SelectPlan bound, Scope scope, Place place, Dictionary<string, Expr> aliases, ref long reached)
    {
        var found = windows.Bind(select, place);
        var keyExpressions = found.Keys;
        var keyPlace = place with { Aliases = aliases, NoAggregates = "is an aggregate and cannot stand in GROUP BY" };
        var keys = keyExpressions.Select(k => expressions.Bind(k, keyPlace)).ToArray();
        var group = new GroupScope
        {
            KeyNodes = keys,
            KeyTexts = [.. keyExpressions.Select(k => ExprText.Of(k, scope.OnlyAlias))],
            IdColumn = keys.Length,
        };
        var groupPlace = place with { Group = group };
        var columns = new List<ResultColumn>();
        for (var index = 0; index < select.Items.Count; index++)
        {
            var item = select.Items[index];
            if (item.IsStar)
            {
                expressions.Error(item.Position, "* is not allowed with GROUP BY: name the columns");
                continue;
            }

            // GROUP BY may name a column of the SELECT list: then the column is the key.
            var byAlias = item.Alias is null
                ? -1
                : keyExpressions.FindIndex(k => k is PathExpr { Parts: [var only] } && only.Name.Equals(item.Alias, StringComparison.OrdinalIgnoreCase));
            var node = byAlias >= 0 && item.Expression is not PathExpr && NamesOtherFields(item.Expression!, group, scope)
                ? new ColumnNode(0, byAlias)
                : expressions.Bind(item.Expression!, groupPlace);
            columns.Add(new ResultColumn(NameOf(item, index), node) { Position = item.Position });
        }

        if (select.Having is { } having)
            bound.Having = expressions.Bind(having, groupPlace with { Aliases = aliases });
        AddResults(bound.Result, columns);
        bound.Group = new GroupPlan
        {
            Keys = keys,
            Windows = found.Windows,
            Aggregates = new AggregateSet([.. group.Aggregates]),
        };
        reached += found.Windows.Select(w => w.Kind switch
        {
            WindowKind.Session => (2 * w.Step) + w.Size,
            WindowKind.Hopping => w.Size + w.Step,
            _ => w.Size,
        }).DefaultIfEmpty(0).Max();
    }

    /// <summary>Whether an expression, bound over the groups, would need a field that is no key.</summary>
    private static bool NamesOtherFields(Expr expression, GroupScope group, Scope scope)
        => !ExpressionBinder.ContainsAggregate(expression)
            && PathsOf(expression).Any(p => !group.KeyTexts.Contains(ExprText.Of(p, scope.OnlyAlias)));
}
