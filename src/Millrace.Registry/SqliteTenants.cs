using Dapper;

namespace Millrace.Registry;

/// <summary>Tenants by name and number; readings carry the number. Number 0 is the default tenant.</summary>
public sealed class SqliteTenants(SqliteDatabase database)
{
    /// <summary>The number of a tenant, made when there is none yet.</summary>
    public ushort Ensure(string name)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(name);
        return database.Write((c, t) =>
        {
            c.Execute("INSERT INTO tenants(name) VALUES(@name) ON CONFLICT DO NOTHING", new { name }, t);
            var number = c.ExecuteScalar<long>("SELECT number FROM tenants WHERE name=@name", new { name }, t);
            if (number > ushort.MaxValue)
                throw new InvalidOperationException($"there are {ushort.MaxValue + 1} tenants already; tenant {name} was not added");
            return (ushort)number;
        });
    }

    public ushort? Find(string name) => database.Read(c =>
        (ushort?)c.QuerySingleOrDefault<long?>("SELECT number FROM tenants WHERE name=@name", new { name }));

    public string? Name(ushort number) => database.Read(c =>
        c.QuerySingleOrDefault<string>("SELECT name FROM tenants WHERE number=@number", new { number = (int)number }));

    public IReadOnlyList<(ushort Number, string Name)> List() => database.Read(c =>
        c.Query<(long Number, string Name)>("SELECT number, name FROM tenants ORDER BY number")
            .Select(row => ((ushort)row.Number, row.Name)).ToList());
}
