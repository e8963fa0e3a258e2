using System.Reflection;
using Millrace.PagesBench;

// Pictures of every page, and what the pages cost. Needs Chromium (apt-get install chromium) and the built program.
//   dotnet run --project bench/Millrace.PagesBench -c Release -- screenshots [FOLDER]
//   dotnet run --project bench/Millrace.PagesBench -c Release -- measure
return args switch
{
    ["screenshots", .. var rest] => await Screenshots.TakeAsync(
        rest.Length > 0 ? rest[0] : typeof(Screenshots).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(a => a.Key == "Screenshots").Value!),
    ["measure"] => await Measurements.TakeAsync(),
    _ => Usage(),
};

static int Usage()
{
    Console.Error.WriteLine("PagesBench: say screenshots [FOLDER] or measure");
    return 2;
}
